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
from oai_usage_pipeline.usage.metering import UsageRecord, meter
from oai_usage_pipeline.usage.shapes import gateway_log, llm_log
from oai_usage_pipeline.usage.shapes.shape import (
    Fields,
    Line,
    Meter,
    Shape,
    alone,
    name_of,
    remarked,
    settled,
)

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
    is_cut: bool = False


def is_diagnostics(fields: Fields) -> bool:
    """Whether it holds a record of the gateway; other services' diagnostics are not ours."""
    records = fields.get("records")
    return isinstance(records, list) and any(_kind(_lowered(each)) for each in records)


def lines(envelope: Envelope, fields: Fields, meter: Meter) -> list[Line]:
    """A line for each call, one for each record that can't be read, one for all foreign records."""
    del envelope
    return _lines(fields["records"], None, meter)


def lines_of_cut(records: list[Any], meter: Meter = meter) -> list[Line]:
    """The lines of records of which the last one was cut.

    It belongs to the call that it names. Where it names none it is no call of its own, unless it is all
    that there is: half a log must not turn one call into two.
    """
    return _lines(records[:-1], certain_part(records[-1]), meter)


def _lines(records: list[Any], cut: dict[str, Any] | None, meter: Meter) -> list[Line]:
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
    if cut:
        _add_cut(calls, cut)
    for each in calls.values():
        made += alone(partial(_lines_of_call, each, meter))
    return made + list(_left_out(foreign, len(records) - MOST_RECORDS))


def _left_out(foreign: int, too_many: int) -> Iterator[Line]:
    if foreign:
        yield Line(UsageRecord(reason=f"category_unknown: {foreign} records"))
    if too_many > 0:
        yield Line(UsageRecord(reason=f"too_many_records: {too_many} left out"))


def _add(calls: dict[Any, _Logged], number: int, kind: str, flat: dict[str, Any]) -> None:
    correlation_id = _id_of(flat)
    call = calls.setdefault(correlation_id or number, _Logged(correlation_id))
    (call.llm if kind == _LLM else call.gateway).append(flat)


def _id_of(flat: dict[str, Any]) -> str | None:
    """The id of a record's call; numbers are those of records without one, so an id is a text or none."""
    given = flat.get("correlationid")
    return given if isinstance(given, str) and given else None


def _add_cut(calls: dict[Any, _Logged], cut: dict[str, Any]) -> None:
    flat = _flat(cut) or {}
    kind, given = _kind(flat), _id_of(flat)
    if kind and (given or not calls):
        _add(calls, MOST_RECORDS, kind, llm_log.without_counts(flat))
    if last := calls.get(given or MOST_RECORDS):
        last.is_cut = True


def _lines_of_call(logged: _Logged, meter: Meter) -> list[Line]:
    gateways = [gateway_log.read(each) for each in logged.gateway]
    made = _lines_of_llm(logged, gateways, meter) if logged.llm else []
    made += [_line_of_gateway(each, is_llm=bool(made)) for each in gateways[1 if made else 0 :]]
    return [_of_cut(line) for line in made] if logged.is_cut else made


def _lines_of_llm(logged: _Logged, gateways: list[dict[str, Any]], meter: Meter) -> list[Line]:
    rows = [llm_log.read(each) for each in logged.llm]
    first = gateways[0] if gateways else {}
    call = gateway_log.call_of(first)._replace(request_id=name_of(logged.correlation_id))
    return [
        Line(settled(record, call.status_code), llm_log.with_names(call, row), row.get("time"))
        for record, row in llm_log.records_of(rows, gateway_log.operation_of(first), meter)
    ]


def _of_cut(line: Line) -> Line:
    """What is missing of an unmetered call is, for all we know, what was cut off."""
    record = line.record
    if record.status == "unmetered":
        record = record._replace(reason=None)
    return line._replace(record=remarked(record, "truncated"))


def _line_of_gateway(fields: dict[str, Any], *, is_llm: bool) -> Line:
    call, record = gateway_log.call_of(fields), gateway_log.record_of(fields, is_llm=is_llm)
    if record.status != "rejected":
        record = settled(record, call.status_code)
    return Line(record, call, fields.get("time"))


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


def certain_part(record: object) -> dict[str, Any] | None:
    """A record that was cut, without its last value, which may lack its end; messages are kept as they are.

    Only what is estimated may be half of something.
    """
    if not isinstance(record, dict) or not record:
        return None
    last = next(reversed(record))
    value, name = record[last], last.lower()
    if name in llm_log.MESSAGES:
        return record
    others = {each: record[each] for each in record if each != last}
    if name != "properties":
        return others
    return others | {last: certain_part(_partly(value) if isinstance(value, str) else value)}


def _partly(text: str) -> object:
    try:
        return from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return None


def _lowered(record: object) -> dict[str, Any] | None:
    return {name.lower(): value for name, value in record.items()} if isinstance(record, dict) else None


DIAGNOSTICS = Shape(
    "diagnostics", (llm_log.LlmLogContract, gateway_log.GatewayLogContract), is_diagnostics, lines
)
