"""Types that the columns of reference files share: texts, exact names, whole hours, counts, validity.

Belongs here: what a single cell may hold, and that a row's validity is one. Columns of one table do not.
"""

import difflib
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_WITH_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*", re.IGNORECASE)
_COUNT = re.compile(r"[0-9]{1,15}")
_LONGEST_TEXT = 256
_EXPECTED_HOUR = (
    "expected a day like 2026-04-01 (midnight UTC) or a time with its zone like 2026-04-01T06:00Z "
    "(spreadsheets change dates: format the column as text)"
)


def _text(value: str) -> str:
    if len(value) > _LONGEST_TEXT:
        raise ValueError(f"expected at most {_LONGEST_TEXT} characters, these are {len(value):,}")
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in value):
        raise ValueError("expected one line without control characters")
    return value


def _exact(value: str) -> str:
    for character in value:
        if unicodedata.category(character) in {"Cf", "Zs"} and character != " ":
            raise ValueError(
                f"holds the invisible character U+{ord(character):04X}, so that it equals no name in the "
                "gateway's log: type it anew"
            )
    return value


def _hour(value: str) -> datetime:
    instant = _instant(value)
    if instant.minute or instant.second or instant.microsecond:
        raise ValueError(
            f"expected a whole hour of UTC, as usage is charged by the hour; this is {instant:%H:%M:%S} UTC"
        )
    return instant


def _instant(value: str) -> datetime:
    try:
        if _DAY.fullmatch(value):
            day = date.fromisoformat(value)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        if not _WITH_TIME.fullmatch(value):
            raise ValueError(_EXPECTED_HOUR)
        instant = datetime.fromisoformat(value.upper())
    except ValueError as error:
        reason = str(error)
        raise ValueError(reason if reason == _EXPECTED_HOUR else f"no such time; {_EXPECTED_HOUR}") from None
    if instant.tzinfo is None:
        raise ValueError("expected a zone: add Z for UTC, or an offset like +02:00")
    return _in_utc(instant)


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a time that also exists in UTC; leave it empty for no end") from None


def _count(value: str) -> int:
    if not _COUNT.fullmatch(value) or int(value) == 0:
        raise ValueError("expected a whole number above 0, digits only")
    return int(value)


def one_of(choices: Sequence[str]) -> BeforeValidator:
    """The annotation of a text that must be one of `choices`, letter by letter."""

    def check(value: str) -> str:
        if value in choices:
            return value
        by_lower = {choice.lower(): choice for choice in choices}
        near = difflib.get_close_matches(value.lower(), by_lower, n=1)
        hint = f"; did you mean {by_lower[near[0]]}?" if near else ""
        raise ValueError(f"expected one of {', '.join(choices)}{hint}")

    return BeforeValidator(check)


Text = Annotated[str, BeforeValidator(_text)]
"""A text for people, of one line."""

Exact = Annotated[str, BeforeValidator(_text), BeforeValidator(_exact)]
"""A name that must equal, character by character, what the gateway logs."""

Hour = Annotated[datetime, BeforeValidator(_hour)]
"""An instant on a whole hour, in UTC."""

Count = Annotated[int, BeforeValidator(_count)]
"""A whole number above zero."""


class Validity(BaseModel):
    """The columns that each dated row has: from inclusive, to exclusive, either may be empty."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    valid_from: Hour | None = None
    valid_to: Hour | None = None

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.valid_from and self.valid_to and self.valid_from >= self.valid_to:
            begins, ends = shown_hour(self.valid_from), shown_hour(self.valid_to)
            raise ValueError(f"valid_from {begins} is not before valid_to {ends}: the row would never hold")
        return self


def shown_hour(instant: datetime) -> str:
    """An hour as these files write it."""
    return f"{instant.year:04}-{instant:%m-%dT%H:%MZ}"
