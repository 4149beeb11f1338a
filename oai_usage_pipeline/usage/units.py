"""What calls are billed by where they report no tokens: seconds of audio, images, characters.

Whether a call is billed so belongs in `answers`; what a unit costs, in `charge`. A unit that is not
told stays None: a transcription as plain text doesn't say how long its audio was.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from oai_usage_pipeline.usage.operations import AUDIO, IMAGES, SPEECH

LONGEST_AUDIO_MS = 10**10
"""Milliseconds, some four months: no upload is longer, so a larger number is no duration."""

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,32}")


class Units(NamedTuple):
    """The units of one call, as reported; the names are those of the silver columns."""

    audio_duration_ms: int | None = None
    image_count: int | None = None
    image_size: str | None = None
    image_quality: str | None = None
    character_count: int | None = None


NO_UNITS = Units()


def units_answered(operation: str | None, body: Mapping[str, Any]) -> Units:
    """The units that a whole response body reports."""
    if operation in AUDIO:
        usage = body.get("usage")
        seconds = usage.get("seconds") if isinstance(usage, Mapping) else None
        return Units(audio_duration_ms=duration_ms(body.get("duration") if seconds is None else seconds))
    if operation == IMAGES:
        made = body.get("data")
        return Units(None, len(made) if isinstance(made, list) else None, *_look(body))
    return NO_UNITS


def with_units_asked(units: Units, operation: str | None, request: Mapping[str, Any]) -> Units:
    """The units with what only the request tells: the look of images, the characters to be spoken."""
    if operation == SPEECH and isinstance(request.get("input"), str):
        return units._replace(character_count=len(request["input"]))
    if operation == IMAGES:
        size, quality = _look(request)
        return units._replace(
            image_size=units.image_size or size, image_quality=units.image_quality or quality
        )
    return units


def duration_ms(seconds: object) -> int | None:
    """Milliseconds of a duration in seconds, exact and rounded half to even; None when it is no duration.

    A number, or the text of one: the first API specifications typed `duration` as a string.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | str):
        return None
    if isinstance(seconds, str) and not _DECIMAL.fullmatch(seconds):
        return None
    # The text of a float is the number that the body had; its binary value is not.
    exact = Decimal(str(seconds)) if isinstance(seconds, float | str) or seconds < LONGEST_AUDIO_MS else None
    if exact is None or not exact.is_finite() or not 0 <= exact * 1000 < LONGEST_AUDIO_MS:
        return None
    return round(exact * 1000)


def _look(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    size, quality = body.get("size"), body.get("quality")
    return _word(size), _word(quality)


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None
