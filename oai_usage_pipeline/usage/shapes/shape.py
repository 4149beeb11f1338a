"""What a shape of event is: how it is known, which field goes to which column, what its rows say.

The frame that all shapes share belongs here, with the rules that hold for each of them. What one
shape holds is for its own module; which shapes there are, for the package.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError

from oai_usage_pipeline.usage.columns import NOT_TEXT, Envelope
from oai_usage_pipeline.usage.fingerprint import is_fingerprint
from oai_usage_pipeline.usage.key_looks import is_gateway_key
from oai_usage_pipeline.usage.metering import LONGEST_NAME, UsageRecord

EVENT_SHAPE = "event_shape"
"""The first field of `properties` where an event is no reference envelope."""

KEPT = ConfigDict(strict=True, extra="allow", hide_input_in_errors=True)
"""How every contract of an event reads: no coercion, unknown fields kept, no event in an error."""

Fields = Mapping[str, Any]
Meter = Callable[[str | None, str | None, str | None], UsageRecord]
"""Request, response and the operation that the event names -> the record of the call."""


class Call(NamedTuple):
    """What only the gateway knows of a call; each is a column of silver."""

    event_shape: str | None = None
    request_id: str | None = None
    subscription: str | None = None
    subscription_name: str | None = None
    user_id: str | None = None
    product_id: str | None = None
    api_id: str | None = None
    operation_id: str | None = None
    api_version: str | None = None
    backend_id: str | None = None
    deployment: str | None = None
    region: str | None = None
    status_code: int | None = None
    latency_ms: int | None = None
    time_to_first_byte_ms: int | None = None


class Line(NamedTuple):
    """One silver row in the making: what the call used, who called, and its time as it was written."""

    record: UsageRecord
    call: Call = Call()
    event_time: str | None = None


PARSER_FAILED = Line(UsageRecord(reason="parser_failed"))
"""What stands for a record that a bug of ours keeps from being read."""


def alone(make: Callable[[], list[Line]]) -> list[Line]:
    """The lines that `make` makes, or `PARSER_FAILED`: a bug that one record reaches must not stop others."""
    try:
        return make() or [PARSER_FAILED]
    except Exception:  # noqa: BLE001  # whatever it is, it is known by the reason and loses one record alone
        return [PARSER_FAILED]


@dataclass(frozen=True)
class Shape:
    """One way in which gateways log calls.

    `knows` tells the shape's events from all others, also from their first part. `columns` names the
    fields that have a bronze column; all others go to `properties`. `lines` makes silver of the columns
    and the fields of `properties`: at least one line. `contracts` are the documented fields. Unless
    `is_marked` is false, `properties` names the shape.
    """

    name: str
    contracts: tuple[type, ...]
    knows: Callable[[Fields], bool]
    lines: Callable[[Envelope, Fields, Meter], list[Line]]
    columns: Mapping[str, str] = field(default_factory=dict)
    is_marked: bool = True

    def open(self, fields: Fields) -> Envelope:
        """The columns of an event of this shape; a time that is a whole number is kept as its text."""
        values: dict[str, str] = {}
        for name, column in self.columns.items():
            value = fields.get(name)
            if column == "EventTime" and type(value) is int:
                value = str(value)
            if isinstance(value, str):
                values[column] = value
            elif value is not None:
                return Envelope(reason=NOT_TEXT[column])
        others = {name: value for name, value in fields.items() if name not in self.columns}
        if self.is_marked:
            others = {EVENT_SHAPE: None} | others | {EVENT_SHAPE: self.name}
        return with_properties(Envelope(**values), others) if others else Envelope(**values)


def with_properties(envelope: Envelope, others: Fields) -> Envelope:
    """The envelope with the fields that have no column, or the reason why they can't be kept."""
    try:
        # NaN and Infinity are no JSON, though lenient parsers let them in.
        text = json.dumps(others, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return Envelope(reason="envelope_not_json")
    return envelope._replace(properties=text)


def reader(contract: type, never_left_out: tuple[str, ...] = ()) -> Callable[[Fields], dict[str, Any]]:
    """Reads fields by a contract: names of a wrong type are left out.

    Fields named in `never_left_out` come back as they are: a count of a wrong type is no missing count.
    """
    validate = TypeAdapter(contract).validator.validate_python

    def read(fields: Fields) -> dict[str, Any]:
        try:
            return dict(validate(fields))
        except ValidationError as error:
            wrong = {str(each["loc"][0]) for each in error.errors(include_url=False, include_input=False)}
        right = {name: value for name, value in fields.items() if name not in wrong}
        return dict(validate(right)) | {name: fields[name] for name in wrong & {*never_left_out}}

    return read


def either_case(contract: type, never_left_out: tuple[str, ...] = ()) -> Callable[[Fields], dict[str, Any]]:
    """The same for fields whose names are in lower case: they are read by the contract's own names."""
    names = {name.lower(): name for name in contract.__annotations__}
    read = reader(contract, never_left_out)

    def read_lowered(fields: Fields) -> dict[str, Any]:
        return read({name: fields[lowered] for lowered, name in names.items() if lowered in fields})

    return read_lowered


def name_of(text: str | None) -> str | None:
    """A foreign name as a column holds it: nothing is null, and the length is bounded."""
    if not text:
        return None
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


def caller_of(key: str | None) -> str | None:
    """Only a fingerprint may leave a key's field: what scrubbing overlooked must not become a column."""
    return key if key and is_fingerprint(key) else None


def id_of(text: str | None) -> str | None:
    """The id of a subscription; nothing where it is a key that an older version let pass for one."""
    bare = (text or "").strip()
    if is_fingerprint(bare):
        return bare
    return None if is_gateway_key(bare) else name_of(text)


def settled(record: UsageRecord, status_code: int | None) -> UsageRecord:
    """The record in the light of the HTTP status: an error without usage is a failure, not a gap."""
    if status_code is None or status_code < 400 or record.status == "failed":
        return record
    if record.input_tokens or record.output_tokens or record.total_tokens:
        return record
    return record._replace(
        status="failed",
        reason=f"http_{status_code}",
        estimated_input_tokens=None,
        estimated_output_tokens=None,
    )


def remarked(record: UsageRecord, *remarks: str) -> UsageRecord:
    """The record with more to say in its reason; what it says already stays."""
    reasons = (record.reason, *remarks)
    return record._replace(reason="; ".join(filter(None, reasons)) or None)


def whole_ms(milliseconds: float | None) -> int | None:
    """Milliseconds as a column holds them: gateways write fractions, which are cut."""
    return None if milliseconds is None else int(milliseconds)
