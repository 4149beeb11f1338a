"""Quotes written by their number hide no key, at whatever depth, and nothing but the key is changed."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oai_usage_pipeline.usage.envelope import Envelope
from oai_usage_pipeline.usage.escaped_quotes import PlainQuotes
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

KEY = "0123456789abcdef0123456789abcdef"
FINGERPRINT = KeyFingerprint(b"pepper")
NAMES = ("api-key", "Ocp-Apim-Subscription-Key", "password", "token", "client_secret", "Authorization")


def by_number(value: object) -> str:
    """JSON as .NET's own writer has it."""
    return re.sub(r"""\\\\|\\"|'""", _by_number, json.dumps(value))


def _by_number(found: re.Match[str]) -> str:
    return {'\\"': "\\u0022", "'": "\\u0027"}.get(found[0], found[0])


@given(st.text("\"'\\u0027x", max_size=12), st.lists(st.sampled_from([json.dumps, by_number]), max_size=4))
@example("JS writes \\u0027 for '; ", [json.dumps])
@example("\\u0022", [by_number, json.dumps])
def test_nothing_but_the_key_is_changed(text: str, writers: list[object]) -> None:
    written = by_number([text, {"api-key": KEY, "said": text}])
    for write in writers:
        written = write(written)  # type: ignore[operator]  # one of two functions
    marked = written.replace(KEY, FINGERPRINT.of(KEY))
    assert FINGERPRINT.seal(Envelope("t", None, written)).Request == marked
    assert FINGERPRINT.scrub_unreadable(written.encode()).decode() == marked


@given(st.text("\"'\\u0027x"))
@example("\\" * 8 + "u0022")
def test_what_is_no_quote_stands_where_it_stood(text: str) -> None:
    plain = PlainQuotes(text.encode())
    places = [plain.place(position) for position in range(len(plain.text) + 1)]
    assert places == sorted(places)
    assert places[-1] == len(text)
    for position, byte in enumerate(plain.text):
        assert byte in b"\"'\\" or text.encode()[places[position]] == byte


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_found_where_quotes_are_numbers(name: str, depth: int) -> None:
    text = json.dumps({name: KEY})
    for _ in range(depth):
        text = by_number({"text": text, "said": "it's"})
    for prose in (text, f"see {text} there"):
        sealed = FINGERPRINT.seal(Envelope("t", None, prose, None, by_number({"x": prose})))
        assert KEY not in repr(sealed)
        assert KEY.encode() not in FINGERPRINT.scrub_unreadable(prose.encode())
    read = str(FINGERPRINT.seal(Envelope("t", None, text)).Request)
    for _ in range(depth):
        read = json.loads(read)["text"]
    assert json.loads(read) == {name: FINGERPRINT.of(KEY)}


def test_a_key_that_ends_in_a_backslash_is_replaced_whole() -> None:
    key = f"{KEY}\\"
    marked = by_number(json.dumps({"api-key": FINGERPRINT.of(key)}))
    assert FINGERPRINT.scrub_unreadable(by_number(json.dumps({"api-key": key})).encode()).decode() == marked


@pytest.mark.parametrize("name", ["'api-key': '", "{'api-key': '"])
def test_a_key_in_quotes_of_python_is_found(name: str) -> None:
    text = by_number({"text": f"{name}{KEY}', 'n': 1}}"})
    sealed = FINGERPRINT.seal(Envelope("t", None, text))
    assert json.loads(str(sealed.Request))["text"] == f"{name}{FINGERPRINT.of(KEY)}', 'n': 1}}"


def test_a_text_without_a_key_keeps_its_quotes() -> None:
    text = by_number({"text": '{"token": "many words", "api-key": null}'})
    assert FINGERPRINT.seal(Envelope("t", None, text)).Request == text
    assert FINGERPRINT.scrub_unreadable(text.encode()) == text.encode()
