"""What people read: all that is new in one message, as plain text whoever wrote the words."""

from datetime import UTC, datetime, timedelta

from oai_usage_pipeline.alerts.memory import Condition, News
from oai_usage_pipeline.alerts.message import LONGEST, MOST, RUNBOOK, message, plain

NOW = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def condition(name: str, sentence: str = "5 of 9 events") -> Condition:
    return Condition(name, sentence, "oai-usage status")


def test_several_at_once_are_one_message_that_says_what_since_when_and_what_to_do() -> None:
    found = News(
        begun=[(condition("a"), NOW - HOUR)],
        lasting=[(condition("b"), NOW - 30 * HOUR)],
        ended=[("c", NOW - 2 * HOUR), ("d", NOW - HOUR)],
    )
    told = message(found, NOW)
    assert told.title == "oai-usage: 1 new, 1 lasting, 2 ended"
    assert told.body.split("\n\n") == [
        "BEGAN  a, since 2026-11-28 11:30 UTC\n5 of 9 events\nNext: oai-usage status",
        "STILL  b, since 2026-11-27 06:30 UTC\n5 of 9 events\nNext: oai-usage status",
        "ENDED  c\nlasted from 2026-11-28 10:30 UTC to 2026-11-28 12:30 UTC",
        "ENDED  d\nlasted from 2026-11-28 11:30 UTC to 2026-11-28 12:30 UTC",
        RUNBOOK,
    ]
    assert told.is_bad
    assert not message(News(ended=[("c", NOW)]), NOW).is_bad


def test_words_of_others_are_one_short_line_without_control_characters() -> None:
    assert plain("gpt\x1b[31m\r\nSubject: x\u202e\u200b y\x00") == "gpt [31m Subject: x y"
    assert plain("x" * 1000) == "x" * (LONGEST - 1) + "…"
    told = message(News(begun=[(condition("a", "x\n\nENDED  b" * 500), NOW)]), NOW)
    assert len(told.body.split("\n")) == 5
    assert len(told.body) < 2 * LONGEST


def test_of_many_all_are_named_and_the_first_explained() -> None:
    told = message(News(begun=[(condition(str(number)), NOW) for number in range(MOST + 5)]), NOW)
    assert told.title == f"oai-usage: {MOST + 5} new"
    assert told.body.endswith(f"\n\nand 5 more: 12, 13, 14, 15, 16\n\n{RUNBOOK}")
    assert told.body.count("BEGAN") == MOST
