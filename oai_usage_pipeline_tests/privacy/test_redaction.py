"""Personal data in texts is replaced, wherever it stands, and every number stays."""

import json
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.privacy import redaction
from oai_usage_pipeline.privacy.keeping import Redaction, keep_of
from oai_usage_pipeline.privacy.redaction import Redactor
from oai_usage_pipeline.traffic.generator import generate
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.payload_note import read_note
from oai_usage_pipeline_tests.privacy.test_retention import Hub, words_in
from oai_usage_pipeline_tests.usage.bodies import DONE, chat, chunk, envelope
from oai_usage_pipeline_tests.usage.shapes import events as shapes
from oai_usage_pipeline_tests.usage.test_payload import CORPUS, PLANTED, landed, recorded

pytestmark = pytest.mark.skipif(
    find_spec("presidio_analyzer") is None, reason="Presidio is not installed: pip install -e '.[redaction]'"
)

PERSONAL = {
    "ada.lovelace@example.com": "EMAIL_ADDRESS",
    "+49 151 23456789": "PHONE_NUMBER",
    "(212) 555-0123": "PHONE_NUMBER",
    "DE89 3704 0044 0532 0130 00": "IBAN_CODE",
    "4111 1111 1111 1111": "CREDIT_CARD",
    "203.0.113.77": "IP_ADDRESS",
    "2001:db8:85a3::8a2e:370:7334": "IP_ADDRESS",
    "00:1B:44:11:3A:B7": "MAC_ADDRESS",
    "536-90-4399": "US_SSN",
}
MAIL = "ada.lovelace@example.com"


@cache
def redactor() -> Redactor:
    return Redactor()


def redacted(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows as they are kept; the law holds for them, too."""
    kept = Redaction(redactor())(frame)
    assert derive(kept).equals(derive(frame))
    return kept


@pytest.mark.parametrize("secret", PERSONAL)
def test_each_kind_is_known_and_named(secret: str) -> None:
    (row,) = redacted(
        landed(envelope(Response=chat().replace("Hello", f"It is {secret}, thanks.")))
    ).to_dicts()
    content = json.loads(row["Response"])["choices"][0]["message"]["content"]
    assert content == f"It is <{PERSONAL[secret]}>, thanks."
    assert row["payload"] == '{"kept":"redacted"}'


def test_ordinary_prose_and_code_stay_as_they_are() -> None:
    prose = (
        "On 2026-05-01 at 12:30, 3,500 people (42 %) read pp. 101-110; version 1.2.3 costs $1,234.56. "
        "x[1:2] = std::vector @home"
    )
    (row,) = redacted(landed(envelope(Response=chat().replace("Hello", prose)))).to_dicts()
    assert json.loads(row["Response"])["choices"][0]["message"]["content"] == prose


def stream(*pieces: str) -> str:
    return "".join(chunk(choices=json.dumps([{"index": 0, "delta": {"content": each}}])) for each in pieces)


ARGUMENTS = json.dumps({"to": MAIL, "card": 4111111111111111})
ESCAPED = json.dumps({"to": MAIL, "cards": "Mine:\n4111111111111111"}).replace("@", "\\u0040")
HIDDEN: dict[str, bytes] = {
    "in a prompt": envelope(Request=json.dumps({"messages": [{"content": f"Mail {MAIL}"}]})),
    "in JSON amid words": envelope(Request=json.dumps({"input": f"As {ESCAPED} says"})),
    "in a name of a field": envelope(Request=json.dumps({"metadata": {MAIL: 1}})),
    "in pieces of a stream": envelope(
        Response=stream("Mail ada", ".lovelace", "@exam", "ple.com now") + DONE
    ),
    "in pieces of two answers that take turns": envelope(
        Response="".join(
            chunk(choices=json.dumps([{"index": at % 2, "delta": {"content": piece}}]))
            for at, piece in enumerate(("ada.love", "x ", "lace@example", "y", ".com"))
        )
        + DONE
    ),
    "in arguments of a tool": envelope(
        Response=json.dumps(
            {
                "object": "chat.completion",
                "choices": [
                    {
                        "message": {
                            "tool_calls": [{"function": {"arguments": ARGUMENTS.replace("@", "\\u0040")}}]
                        }
                    }
                ],
            }
        )
    ),
    "in tokens": envelope(
        Response=json.dumps(
            {"object": "chat.completion", "choices": [{"logprobs": {"content": [{"token": MAIL}]}}]}
        )
    ),
    "in plain text": envelope(Request=MAIL, Response=f"{MAIL}\n"),
    "in a body that was made text twice": envelope(Response=json.dumps(chat().replace("Hello", MAIL))),
    "in other fields": envelope(note=[{"from": MAIL}]),
    "in a policy's record": json.dumps(
        {**shapes.POLICY, "request": json.dumps({"input": MAIL}), "userClaims": {"oid": "o", "upn": MAIL}}
    ).encode(),
    "in diagnostics": json.dumps(
        shapes.records(shapes.llm_log(requestMessages=json.dumps([{"role": "user", "content": MAIL}])))
    ).encode(),
    "in an array": json.dumps([{**shapes.REFERENCE, "Request": json.dumps({"input": MAIL})}, MAIL]).encode(),
    "in an envelope that was cut": envelope(Request=json.dumps({"input": MAIL}))[:-20],
    "in what can't be read": f"{{{MAIL}".encode(),
    "in a form": envelope(
        Request=f'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n{MAIL}\r\n--b--'
    ),
}


@pytest.mark.parametrize("where", HIDDEN)
def test_an_address_is_found(where: str) -> None:
    kept = redacted(landed(HIDDEN[where]))
    written = repr(kept.rows())
    assert MAIL not in written
    for piece in ("lovelace", "4111111111111111", "example.com"):
        assert piece not in written


def test_the_other_pieces_of_a_stream_stay_where_they_are() -> None:
    frame = landed(envelope(Response=stream("One", " and", " two") + DONE))
    pieces = redacted(frame)["Response"][0].split('"content":"')[1:]
    assert [each.partition('"')[0] for each in pieces] == ["One", " and", " two"]


def test_the_user_that_accounting_reads_stays() -> None:
    frame = landed(envelope(Request=json.dumps({"model": "gpt-4o", "user": MAIL, "input": "Hi"})))
    assert derive(redacted(frame))["user_id"].to_list() == [MAIL]


def test_what_can_not_be_searched_goes() -> None:
    picture = "data:image/png;base64," + "iVBORw0KGgo" * 100
    asked = {"input": [[101, 202, 303]], "messages": [{"content": [{"image_url": {"url": picture}}]}]}
    (row,) = redacted(landed(envelope(Request=json.dumps(asked)))).to_dicts()
    assert json.loads(row["Request"]) == {
        "input": [[]],
        "messages": [{"content": [{"image_url": {"url": ""}}]}],
    }


def test_an_event_that_takes_too_long_keeps_only_what_accounting_needs() -> None:
    ticks = iter(range(10_000))
    slow = Redaction(Redactor(most_seconds=1.5, clock=lambda: float(next(ticks))))
    frame = landed(envelope(Request=json.dumps({"input": f"{MAIL} " * 3})), envelope())
    kept = slow(frame)
    notes = [read_note(each) for each in kept["payload"]]
    assert [(each.kept, each.because) for each in notes if each] == [
        ("accounting", "redaction_too_slow"),
        ("redacted", None),
    ]
    assert derive(kept).equals(derive(frame))
    assert MAIL not in repr(kept.rows())


def test_a_batch_that_takes_too_long_keeps_only_what_accounting_needs_of_its_rest() -> None:
    now = 0.0

    class Slow(Redactor):
        def __call__(self, text: str) -> str:
            nonlocal now
            now += 0.1
            return super().__call__(text)

    slow = Redaction(Slow(most_seconds_a_batch=1.0, clock=lambda: now))
    frame = landed(*(envelope(Request=json.dumps({"input": f"{MAIL} {each}"})) for each in range(20)))
    for _ in range(2):
        kept = slow(frame)
        notes = [read_note(each) for each in kept["payload"]]
        told = [(each.kept, each.because) for each in notes if each]
        in_time = told.index(("accounting", "redaction_too_slow"))
        assert 0 < in_time < 20
        assert told == [("redacted", None)] * in_time + [("accounting", "redaction_too_slow")] * (
            20 - in_time
        )
        assert derive(kept).equals(derive(frame))
        assert MAIL not in repr(kept.rows())


def test_a_long_text_is_searched_to_its_end_and_over_its_seams() -> None:
    text = "a " * (redaction.LONGEST_PIECE // 2 - 8) + MAIL + " b" * redaction.LONGEST_PIECE
    assert redactor()(text) == text.replace(MAIL, "<EMAIL_ADDRESS>")


def test_the_network_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert Redactor()("someone.else@example.co.uk") == "<EMAIL_ADDRESS>"


def test_without_the_library_the_setting_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(redaction, "import_module", missing)
    redaction._presidio.cache_clear()
    with pytest.raises(ConfigurationError, match=r"oai-usage-pipeline\[redaction\]"):
        keep_of("redacted")
    redaction._presidio.cache_clear()


@pytest.mark.skipif(not CORPUS.exists(), reason="the recorded calls are not beside this checkout")
def test_recorded_calls_come_to_the_same_when_they_are_redacted() -> None:
    kept = redacted(recorded()[::4])
    assert kept["payload"].str.starts_with('{"kept":"redacted"').mean() > 0.95  # type: ignore[operator]  # not empty


def test_generated_traffic_and_everything_planted_come_to_the_same_when_they_are_redacted() -> None:
    sent = [each.body for each in generate(9, datetime(2026, 5, 1, tzinfo=UTC), 200, 0)]
    redacted(landed(*sent, *PLANTED.values()))


def test_nothing_else_is_ever_written_when_events_are_redacted_at_capture(tmp_path: Path) -> None:
    hub = Hub(Lake(str(tmp_path / "lake")))
    hub.send(10, *HIDDEN.values())
    hub.capture("redacted")
    assert words_in(tmp_path, MAIL) == []
