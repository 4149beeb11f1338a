"""What people are told, as plain text that is safe to show: a title and a few lines for each condition.

Belongs here: words. Names, models and errors in a sentence may be somebody else's, so each is cut to one line
without control characters.
"""

from dataclasses import dataclass
from datetime import datetime

from oai_usage_pipeline.alerts.memory import Condition, News

LONGEST = 400
MOST = 12
"""Conditions of one kind that a message has sentences for; of the others it has the names."""

RUNBOOK = "docs/RUNBOOK.md says by symptom what to do, and how you know that it is well."


@dataclass(frozen=True)
class Message:
    """One message; `is_bad` unless it only says that something has ended."""

    title: str
    body: str
    is_bad: bool


TEST = Message(
    "oai-usage: a test message",
    "Alerts of the pipeline arrive here. Nothing is wrong, and nothing is to be done.",
    is_bad=False,
)


def message(found: News, now: datetime) -> Message:
    """All that is new in one message."""
    parts = (
        {each.name: _present("BEGAN", each, since) for each, since in found.begun},
        {each.name: _present("STILL", each, since) for each, since in found.lasting},
        {
            name: f"ENDED  {plain(name)}\nlasted from {_time(since)} to {_time(now)}"
            for name, since in found.ended
        },
    )
    counted = zip(("new", "lasting", "ended"), parts, strict=True)
    title = ", ".join(f"{len(each)} {word}" for word, each in counted if each)
    is_bad = bool(found.begun or found.lasting)
    lines = [line for each in parts for line in _cut(each)] + ([RUNBOOK] if is_bad else [])
    return Message(f"oai-usage: {title}", "\n\n".join(lines), is_bad)


def plain(text: str, longest: int = LONGEST) -> str:
    """The text on one line, cut, with nothing that steers what shows it."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _present(word: str, each: Condition, since: datetime) -> str:
    return f"{word}  {plain(each.name)}, since {_time(since)}\n{plain(each.sentence)}\nNext: {each.advice}"


def _cut(parts: dict[str, str]) -> list[str]:
    names, lines = list(parts), list(parts.values())
    more = ", ".join(plain(name) for name in names[MOST:])
    return [*lines[:MOST], f"and {len(names) - MOST} more: {more}"] if more else lines


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
