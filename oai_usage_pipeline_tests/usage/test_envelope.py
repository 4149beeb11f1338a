"""Opening envelopes: what is kept as columns, and why everything else is not."""

import base64
import gzip
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.usage.envelope import FIELDS, Envelope, open_envelope
from oai_usage_pipeline_tests.usage.bodies import EVENT_TIME, REQUEST, chat, envelope

UNREADABLE = {
    "empty": (b"", "envelope_empty"),
    "white space": (b" \r\n\t", "envelope_empty"),
    "null": (b"null", "envelope_not_object"),
    "a bare string": (b'"EventTime"', "envelope_not_object"),
    "a bare number": (b"12", "envelope_not_object"),
    "an array of other things": (b'[1, "x", [], {"y": 1}]', "envelope_not_object"),
    "an empty array": (b"[]", "envelope_not_object"),
    "an empty object": (b"{}", "envelope_unknown"),
    "records": (b'{"records": [{"time": "x"}]}', "envelope_unknown"),
    "records of another service": (b'{"records": [{"category": "AuditEvent"}]}', "envelope_unknown"),
    "one field in another case": (b'{"request": "y"}', "envelope_unknown"),
    "fields in upper case": (b'{"EVENTTIME": "x", "REQUEST": "y"}', "envelope_unknown"),
    "a camel case response that is an object": (
        b'{"eventTime": "x", "response": {}}',
        "response_not_text",
    ),
    "a time in camel case that is a fraction": (b'{"eventTime": 1.5, "response": ""}', "event_time_not_text"),
    "plain text": (b"hello", "envelope_not_json"),
    "two objects": (envelope() + envelope(), "envelope_not_json"),
    "trailing garbage": (envelope() + b" x", "envelope_not_json"),
    "a raw control character": (b'{"EventTime": "a\x00b"}', "envelope_not_json"),
    "invalid UTF-8": (b'{"EventTime": "\xff"}', "envelope_not_utf8"),
    "overlong UTF-8": (b'{"EventTime": "\xc0\xaf"}', "envelope_not_utf8"),
    "gzip": (gzip.compress(envelope(), mtime=0), "envelope_not_utf8"),
    "a compression bomb": (gzip.compress(b"0" * 10_000_000, mtime=0), "envelope_not_utf8"),
    "base64": (base64.b64encode(envelope()), "envelope_not_json"),
    "odd UTF-16": (b"\xff\xfe{", "envelope_not_utf8"),
    "a lone surrogate": (b'{"Response": "\\ud83d", "EventTime": "x"}', "envelope_lone_surrogate"),
    "nesting 300": (b'{"Response": "", "x": ' + b"[" * 300 + b"]" * 300 + b"}", "envelope_too_deep"),
    "nesting 1,100": (b"[" * 1_100, "envelope_too_deep"),
    "nesting 100,000": (b'{"Response":' * 100_000, "envelope_too_deep"),
    "a 5,000-digit number": (b'{"Response": "", "x": ' + b"1" * 5_000 + b"}", "envelope_number_out_of_range"),
    "NaN beside the fields": (b'{"Response": "", "x": NaN}', "envelope_not_json"),
    "NaN for a time": (b'{"EventTime": NaN}', "event_time_not_text"),
    "a boolean time": (b'{"EventTime": true}', "event_time_not_text"),
    "a response that is an object": (envelope(Response={"id": 1}), "response_not_text"),
    "a request that is an array": (envelope(Request=[]), "request_not_text"),
    "a key that is a number": (envelope(AppSubscriptionKey=12345678), "subscription_key_not_text"),
    "several wrong types": (envelope(EventTime=1, Response={}), "response_not_text"),
    "cut in a string": (envelope()[:-10], "envelope_truncated"),
    "cut before the brace": (envelope().rstrip(b"}\n"), "envelope_truncated"),
    "cut in the key": (envelope()[:80], "envelope_truncated"),
    "a megabyte of marks": (b"\xef\xbb\xbf" * 350_000, "envelope_not_json"),
    "a megabyte of UTF-16 marks": (b"\xff\xfe" * 500_000, "envelope_not_json"),
    "a megabyte of garbage": (b"\x00\x01" * 500_000, "envelope_not_json"),
}


@pytest.mark.parametrize(("body", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_envelope_has_a_reason_and_no_columns(body: bytes, reason: str) -> None:
    assert open_envelope(body) == Envelope(reason=reason)


def test_the_four_fields_come_back_as_they_are() -> None:
    opened = open_envelope(envelope())
    assert opened == Envelope(EVENT_TIME, "0123456789abcdef0123456789abcdef", REQUEST, chat())


def test_every_other_field_is_kept_in_properties() -> None:
    opened = open_envelope(envelope(apiOperation="chat", nested={"n": [1, 2.5, "ü", None]}))
    assert opened.reason is None
    assert json.loads(str(opened.properties)) == {
        "apiOperation": "chat",
        "nested": {"n": [1, 2.5, "ü", None]},
    }
    assert opened._replace(properties=None) == open_envelope(envelope())


def test_a_megabyte_is_opened_like_a_byte() -> None:
    long = "x" * 1024 * 1024
    assert open_envelope(envelope(Request=long)).Request == long


@pytest.mark.parametrize("key", [None, "", "unknown", "k" * 10_000, "line\nbreak"])
def test_whatever_the_key_is_the_envelope_is_readable(key: str | None) -> None:
    opened = open_envelope(envelope(AppSubscriptionKey=key))
    assert (opened.AppSubscriptionKey, opened.reason) == (key, None)


def test_missing_and_null_fields_are_null() -> None:
    assert open_envelope(b'{"Response": null, "EventTime": "t"}') == Envelope(EventTime="t")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_does_not_hide_an_envelope(encoding: str) -> None:
    assert open_envelope(envelope().decode().encode(encoding)) == open_envelope(envelope())


def test_a_time_that_is_a_number_is_kept_as_its_text() -> None:
    opened = open_envelope(envelope(EventTime=1767225600))
    assert opened == open_envelope(envelope())._replace(EventTime="1767225600")


def test_escaped_control_characters_are_kept() -> None:
    assert open_envelope(b'{"Response": "a\\u0000b"}').Response == "a\x00b"


@pytest.mark.parametrize("ascii_only", [True, False])
def test_an_envelope_cut_at_any_byte_is_known_as_cut(ascii_only: bool) -> None:
    whole = json.dumps({"EventTime": "t", "Response": 'é"\\\U0001f600ü'}, ensure_ascii=ascii_only).encode()
    first = len('{"EventTime": "')
    assert {open_envelope(whole[:end]).reason for end in range(first, len(whole))} == {"envelope_truncated"}


@given(
    st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_no_bytes_raise(body: bytes) -> None:
    opened = open_envelope(body)
    assert (opened.reason is None) or opened[:5] == (None,) * 5


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*FIELDS, "other"]), _json))
def test_json_objects_open_exactly_when_the_fields_are_texts(fields: dict[str, object]) -> None:
    opened = open_envelope(json.dumps(fields).encode())
    known = {name: value for name, value in fields.items() if name in FIELDS}
    as_text = {name: str(v) if name == "EventTime" and type(v) is int else v for name, v in known.items()}
    is_readable = bool(known) and all(isinstance(value, str | None) for value in as_text.values())
    assert (opened.reason is None) == is_readable
    if is_readable:
        assert opened[:4] == tuple(as_text.get(name) for name in FIELDS)


def test_damaged_envelopes_never_raise_and_hold_only_what_a_column_can() -> None:
    random_bytes = random.Random(7)
    whole = envelope(other={"a": [1, "\U0001f600"]})
    for _ in range(5_000):
        body = bytearray(whole)
        for _ in range(random_bytes.randint(1, 4)):
            body[random_bytes.randrange(len(body))] = random_bytes.randrange(256)
        for text in open_envelope(bytes(body)):
            assert text is None or text.encode().decode() == text
