"""Azure Monitor's envelope around the gateway's own logs: many records an event, joined by correlation id.

Belongs here: reading records whose names come in either case and whose properties may be text, and
which of them are of one call. What a record of either category says is for `llm_log` and `gateway_log`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic_core import from_json

from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.metering import UsageRecord
from oai_usage_pipeline.usage.shapes import gateway_log, llm_log
from oai_usage_pipeline.usage.shapes.shape import Fields, Line, Meter, Shape, alone, name_of, settled

MOST_RECORDS = 10_000
"""Silver rows that one event may make: a megabyte holds some 3,000 records, and more is no log."""

_LLM, _GATEWAY = "gatewayllmlog", "gatewaylog"
_CATEGORY = ("category", "type")
_OF_AZURE = "microsoft."


@dataclass
class _Logged:
    """What one event holds about one call."""

    correlation_id: str | None
    llm: list[dict[str, Any]] = field(default_factory=list)
    gateway: list[dict[str, Any]] = field(default_factory=list)


def is_diagnostics(fields: Fields) -> bool:
    """Whether it holds a record of the gateway; other services' diagnostics are not ours."""
    records = fields.get("records")
    return isinstance(records, list) and any(_kind(_lowered(each)) for each in records)


def lines(envelope: Envelope, fields: Fields, meter: Meter) -> list[Line]:
    """A line for each call, one for each record that can't be read, one for all foreign records."""
    del envelope
    records = fields["records"]
    calls: dict[Any, _Logged] = {}
    made: list[Line] = []
    foreign = 0
    for number, record in enumerate(records[:MOST_RECORDS]):
        flat = _flat(record)
        kind = _kind(flat)
        if flat is None:
            made.append(Line(UsageRecord(reason="record_unreadable")))
        elif kind is None:
            foreign += 1
        else:
            _add(calls, number, kind, flat)
    for each in calls.values():
        made += alone(partial(_lines_of_call, each, meter))
    return made + list(_left_out(foreign, len(records) - MOST_RECORDS))


def _left_out(foreign: int, too_many: int) -> Iterator[Line]:
    if foreign:
        yield Line(UsageRecord(reason=f"category_unknown: {foreign} records"))
    if too_many > 0:
        yield Line(UsageRecord(reason=f"too_many_records: {too_many} left out"))


def _add(calls: dict[Any, _Logged], number: int, kind: str, flat: dict[str, Any]) -> None:
    given = flat.get("correlationid")
    correlation_id = given if isinstance(given, str) and given else None
    call = calls.setdefault(correlation_id or number, _Logged(correlation_id))
    (call.llm if kind == _LLM else call.gateway).append(flat)


def _lines_of_call(logged: _Logged, meter: Meter) -> list[Line]:
    gateways = [gateway_log.read(each) for each in logged.gateway]
    if not logged.llm:
        return [_line_of_gateway(each) for each in gateways]
    rows = [llm_log.read(each) for each in logged.llm]
    first = gateways[0] if gateways else {}
    call = gateway_log.call_of(first)._replace(request_id=name_of(logged.correlation_id))
    made = [
        Line(settled(record, call.status_code), llm_log.with_names(call, row), row.get("time"))
        for record, row in llm_log.records_of(rows, gateway_log.operation_of(first), meter)
    ]
    return made + [_line_of_gateway(each) for each in gateways[1:]]


def _line_of_gateway(fields: dict[str, Any]) -> Line:
    call = gateway_log.call_of(fields)
    return Line(settled(gateway_log.record_of(fields), call.status_code), call, fields.get("time"))


def _kind(flat: Fields | None) -> str | None:
    """Which of the two logs a record is of, by its category or the name of its table."""
    for name in _CATEGORY:
        text = (flat or {}).get(name)
        if isinstance(text, str):
            lowered = text.lower()
            return next((kind for kind in (_LLM, _GATEWAY) if kind in lowered), None)
    return None


def _flat(record: object) -> dict[str, Any] | None:
    """A record with its properties beside its other fields, all names in lower case; None if it is none."""
    fields = _lowered(record)
    if fields is None:
        return None
    properties = fields.pop("properties", None)
    if isinstance(properties, str):
        try:
            properties = from_json(properties)
        except ValueError:
            return None
    if properties is None:
        return fields
    inner = _lowered(properties)
    if inner is None:
        return None
    if str(fields.get("operationname")).lower().startswith(_OF_AZURE):
        # Of the log's own envelope, it names the log and not the call.
        del fields["operationname"]
    return fields | inner


def _lowered(record: object) -> dict[str, Any] | None:
    return {name.lower(): value for name, value in record.items()} if isinstance(record, dict) else None


DIAGNOSTICS = Shape(
    "diagnostics", (llm_log.LlmLogContract, gateway_log.GatewayLogContract), is_diagnostics, lines
)
