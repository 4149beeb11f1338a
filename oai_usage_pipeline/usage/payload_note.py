"""What stands beside an event whose texts were taken out: how much was kept, and what they counted.

Belongs here: the column `payload` of bronze, written and read. What is taken out, and when, is for
`payload`; how silver comes of it, for `derive`.

The column is null for an event that is kept as it came. Else it is a JSON object with

- `kept`: `redacted` (personal data replaced) or `accounting` (only what accounting needs);
- `estimates`: pairs of tokens in and out, one for each record of the event. They are made from the texts,
  so they must be made before the texts go; absent where there are none;
- `lines`: what the event came to, record by record, where nothing of it could be kept that would be
  read again to the same; absent otherwise;
- `because`: why less was kept than was asked for; absent where it was not.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic_core import from_json

from oai_usage_pipeline.usage.metering import UsageRecord
from oai_usage_pipeline.usage.shapes import Call, Line

Kept = Literal["redacted", "accounting"]
Estimates = tuple[tuple[int | None, int | None], ...]

BEGINNING = '{"kept":"'
"""How the column begins, directly before the value of `kept`."""

HAS_LINES = ',"lines":['
HAS_ESTIMATES = ',"estimates":['
"""What the column of an event with lines or estimates holds: no text of a caller can hold these quotes."""


class PayloadNote(NamedTuple):
    """One value of the column."""

    kept: Kept
    estimates: Estimates = ()
    lines: Sequence[Line] = ()
    because: str | None = None

    def __str__(self) -> str:
        """The value as the column has it."""
        fields: dict[str, Any] = {"kept": self.kept}
        if self.estimates:
            fields["estimates"] = self.estimates
        if self.because:
            fields["because"] = self.because
        if self.lines:
            fields["lines"] = [_told(line) for line in self.lines]
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def read_note(payload: str | None) -> PayloadNote | None:
    """The note of an event; None where it is kept as it came."""
    if not payload:
        return None
    fields = from_json(payload)
    return PayloadNote(
        fields["kept"],
        tuple((read, written) for read, written in fields.get("estimates", ())),
        tuple(_line(each) for each in fields.get("lines", ())),
        fields.get("because"),
    )


def estimated_again(lines: Iterable[Line], estimates: Estimates) -> list[Line]:
    """The lines of an event with the estimates that its texts gave while they were there."""
    found = list(lines)
    for at, (line, pair) in enumerate(zip(found, estimates, strict=False)):
        found[at] = line._replace(record=with_estimates(line.record, pair))
    return found


def with_estimates(record: UsageRecord, pair: tuple[int | None, int | None]) -> UsageRecord:
    """The record with the given estimates."""
    return record._replace(estimated_input_tokens=pair[0], estimated_output_tokens=pair[1])


def _told(line: Line) -> list[Any]:
    """A line without what it doesn't say."""
    return [_said(line.record, UsageRecord()), _said(line.call, Call()), line.event_time]


def _said(fields: UsageRecord | Call, usual: UsageRecord | Call) -> dict[str, Any]:
    default = usual._asdict()
    return {name: value for name, value in fields._asdict().items() if value != default[name]}


def _line(told: list[Any]) -> Line:
    record, call, event_time = told
    return Line(UsageRecord(**_known(record, UsageRecord)), Call(**_known(call, Call)), event_time)


def _known(fields: Mapping[str, Any], kind: type[UsageRecord] | type[Call]) -> dict[str, Any]:
    """Only the fields that there are today: a later contract may have dropped one."""
    return {name: value for name, value in fields.items() if name in kind._fields}
