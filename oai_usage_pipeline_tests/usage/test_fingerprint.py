"""Keys leave no trace but their fingerprint: in columns, in texts and in unreadable bytes."""

import json
import re
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.usage.envelope import Envelope, open_envelope
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint, is_fingerprint
from oai_usage_pipeline_tests.usage.bodies import envelope

KEY = "0123456789abcdef0123456789abcdef"
FINGERPRINT = KeyFingerprint(b"pepper")
MARK = FINGERPRINT.of(KEY)


def test_a_fingerprint_names_its_version_and_hides_its_key() -> None:
    assert re.fullmatch(r"v3-[0-9a-f]{32}", KeyFingerprint(b"pepper", version=3).of(KEY))
    assert KEY not in MARK


def test_a_fingerprint_depends_on_key_and_pepper_alone() -> None:
    assert KeyFingerprint(b"pepper").of(KEY) == MARK
    assert KeyFingerprint(b"Pepper").of(KEY) != MARK
    assert FINGERPRINT.of(KEY[:-1]) != MARK


def test_an_empty_pepper_is_refused() -> None:
    with pytest.raises(ValueError, match="pepper"):
        KeyFingerprint(b"")


def test_the_pepper_is_not_shown() -> None:
    assert "pepper" not in repr(FINGERPRINT)


@pytest.mark.parametrize("key", ["", MARK, KeyFingerprint(b"old", version=12).of(KEY)])
def test_nothing_and_fingerprints_are_not_hashed(key: str) -> None:
    assert FINGERPRINT.of(key) == key


@pytest.mark.parametrize("key", ["k", "a\nb", "x" * 10_000, "ключ-ключ", "\ud800-surrogate", f"{MARK}0"])
def test_any_other_key_is_hashed(key: str) -> None:
    assert is_fingerprint(FINGERPRINT.of(key))


@pytest.mark.parametrize(
    "key", [KEY, 'quote"back\\slash', "line\nbreak-key", "schlüssel-ключ", "key/with/slashes"]
)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_key_is_scrubbed_at_every_depth_of_escaping(key: str, depth: int) -> None:
    text = f"before {key} after {key}"
    for _ in range(depth):
        text = json.dumps({"text": text})
    scrubbed = str(FINGERPRINT.seal(Envelope("t", key, text)).Request)
    for _ in range(depth):
        scrubbed = json.loads(scrubbed)["text"]
    assert scrubbed == f"before {FINGERPRINT.of(key)} after {FINGERPRINT.of(key)}"


def test_a_key_too_short_to_be_a_credential_is_not_searched_for() -> None:
    sealed = FINGERPRINT.seal(Envelope("t", "test", "a testament", "a testament"))
    assert (sealed.Request, sealed.Response) == ("a testament", "a testament")
    body = b'{"api-key": "test", "x": "a testament'
    assert FINGERPRINT.scrub_unreadable(body).endswith(b'"x": "a testament')


def test_sealing_replaces_the_key_in_every_column() -> None:
    sealed = FINGERPRINT.seal(Envelope(f"t{KEY}", KEY, f"q{KEY}", f"r{KEY}", f'{{"p": "{KEY}"}}'))
    assert sealed == Envelope(f"t{MARK}", MARK, f"q{MARK}", f"r{MARK}", f'{{"p": "{MARK}"}}')


def test_sealing_hashes_a_short_key_in_its_own_column_only() -> None:
    assert FINGERPRINT.seal(Envelope("t", "ab", "ab", None)) == Envelope(
        "t", FINGERPRINT.of("ab"), "ab", None
    )


@pytest.mark.parametrize("key", [None, "", MARK])
def test_sealing_leaves_an_envelope_without_a_key_alone(key: str | None) -> None:
    opened = Envelope("t", key, "q", "r", "{}")
    assert FINGERPRINT.seal(opened) == opened


def test_sealing_scrubs_the_keys_of_other_fields_by_name() -> None:
    sealed = FINGERPRINT.seal(Envelope("t", None, None, None, f'{{"api-key":"{KEY}","n":1}}'))
    assert sealed.properties == f'{{"api-key":"{MARK}","n":1}}'


@pytest.mark.parametrize(
    "properties",
    [
        {"appSubscriptionKey": KEY},
        {"headers": {"Ocp-Apim-Subscription-Key": [KEY]}},
        {"headers": [{"name": "api-key", "value": KEY}]},
        {"headers": [{"value": KEY, "name": "api-key"}]},
    ],
)
@pytest.mark.parametrize("key", [None, "", "another-key-of-the-caller"])
def test_a_key_that_another_field_names_is_scrubbed_from_the_texts(
    properties: dict[str, object], key: str | None
) -> None:
    sealed = FINGERPRINT.seal(Envelope(f"t{KEY}", key, f"q{KEY}", f"r{KEY}", json.dumps(properties)))
    assert KEY not in repr(sealed)
    assert (sealed.EventTime, sealed.Request, sealed.Response) == (f"t{MARK}", f"q{MARK}", f"r{MARK}")
    assert json.loads(str(sealed.properties)).keys() == properties.keys()


AWKWARD = {
    "a text that ends in a name": {"note": "my api-key: ", "total": 15},
    "a text that ends in a name and a quote": {"note": 'my "api-key": "', "total": 15},
    "the same within a text": {"inner": json.dumps({"note": "api-key: "}), "total": 15},
    "a key as a number": {"note": "api-key: ", "api-key": 12345678, "total": 15, "same": "12345678"},
    "truth and nothing": {"note": "api-key: ", "api-key": [True, None], "total": 15},
    "a key with its scheme": {"note": "api-key: ", "Authorization": f"Bearer {KEY}", "total": 15},
    "a key in an object": {
        "note": "api-key: ",
        "subscriptionKey": {"primary": [KEY, KEY.upper()]},
        "total": 15,
    },
    "a pair": {"note": "api-key: ", "headers": [{"name": "api-key", "value": KEY}], "total": 15},
    "a pair of lists": {"note": "api-key: ", "headers": [{"Values": [KEY], "n": "Api-Key"}], "total": 15},
    "a key in a text": {"note": "api-key: ", "text": f"curl -H 'api-key: {KEY}'", "total": 15},
    "a key that another field names": {"note": "api-key: ", "x": f"<{KEY}>", "api-key": KEY, "total": 15},
}


@pytest.mark.parametrize("properties", AWKWARD.values(), ids=AWKWARD)
def test_properties_stay_what_they_were_but_for_their_keys(properties: dict[str, object]) -> None:
    sealed = FINGERPRINT.seal(Envelope("t", None, f"q{KEY}", None, json.dumps(properties)))
    scrubbed = json.loads(str(sealed.properties))
    assert scrubbed.keys() == properties.keys()
    assert (scrubbed["total"], scrubbed.get("note")) == (15, properties.get("note"))
    assert KEY not in repr(scrubbed).lower()
    assert "12345678" not in str(sealed.properties)
    marked = json.dumps(properties).count(KEY) + json.dumps(properties).count(KEY.upper())
    assert str(sealed.properties).count("v1-") >= marked


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"api-key": KEY}),
        json.dumps({"API_KEY": KEY}),
        json.dumps({"Api-Key": [KEY]}),
        json.dumps({"content": json.dumps({"Ocp-Apim-Subscription-Key": KEY})}),
        json.dumps({"content": f"curl -H 'ocp-apim-subscription-key: {KEY}'"}),
        json.dumps({"headers": [{"name": "api-key", "value": KEY}]}),
        json.dumps({"content": f"schlüssel: Authorization: Bearer {KEY}"}),
    ],
)
@pytest.mark.parametrize("key", [None, "another-key-of-the-caller"])
def test_a_key_that_a_text_names_is_scrubbed_from_both_texts(text: str, key: str | None) -> None:
    marked = text.replace(KEY, MARK)
    for request, response in ((text, f"r{KEY}"), (f"r{KEY}", text)):
        sealed = FINGERPRINT.seal(Envelope("t", key, request, response))
        assert {sealed.Request, sealed.Response} == {marked, f"r{MARK}"}


@pytest.mark.parametrize("key", ["01234567-89ab-cdef-0123-456789abcdef", "an.unusual-password", f"{KEY}=="])
def test_other_ways_to_write_a_key_are_scrubbed_where_a_text_names_them(key: str) -> None:
    sealed = FINGERPRINT.seal(Envelope("t", None, f"api-key: {key}", json.dumps({"api-key": f" {key} "})))
    assert sealed.Request == f"api-key: {FINGERPRINT.of(key)}"
    assert json.loads(str(sealed.Response)) == {"api-key": f" {FINGERPRINT.of(key)} "}


@pytest.mark.parametrize(
    "named",
    [
        "completion_tokens",
        "17612345678",
        "9.3612651e-07",
        "gpt-4o-mini-2024-07-18",
        "u4e2dhello12",
        "",
        "[",
        "{",
        '"',
        "'",
        '"x\\',
    ],
)
@pytest.mark.parametrize("name", ["api-key: ", '"api-key": ', "'api-key': ", '"api-key"', '"api-key": ["'])
def test_no_caller_can_spoil_a_response_by_naming_parts_of_it_a_key(name: str, named: str) -> None:
    response = json.dumps(
        {
            "content": f"{name}{named}",
            "created": 17612345678,
            "model": "gpt-4o-mini-2024-07-18",
            "logprob": 9.3612651e-07,
            "refusal": "it's \u4e2dhello12",
            "usage": {"completion_tokens": 5},
        }
    )
    for request in (response, json.dumps({"content": f"{name}{named}"}), f"{name}{named}"):
        sealed = json.loads(str(FINGERPRINT.seal(Envelope("t", KEY, request, response)).Response))
        assert sealed.keys() == json.loads(response).keys()
        del sealed["content"]
        assert sealed == {name: value for name, value in json.loads(response).items() if name != "content"}


@pytest.mark.parametrize("key", [f" {KEY}\n", f"{KEY}\r\n", f"\t{KEY}"])
def test_a_key_in_white_space_is_scrubbed_without_it_too(key: str) -> None:
    mark = FINGERPRINT.of(key)
    sealed = FINGERPRINT.seal(Envelope("t", key, f"q{KEY}", json.dumps(key)))
    assert sealed == Envelope("t", mark, f"q{mark}", f'"{mark}"')


@pytest.mark.parametrize(
    ("key", "echo"), [(KEY, KEY.upper()), (KEY.upper(), KEY), (KEY[:16] + KEY[16:].upper(), KEY)]
)
def test_a_key_is_scrubbed_in_the_other_case(key: str, echo: str) -> None:
    mark = FINGERPRINT.of(key)
    assert FINGERPRINT.seal(Envelope("t", key, echo, echo)) == Envelope("t", mark, mark, mark)


HELD = [
    {"primaryKey": {"api-key": "an.unusual-password"}},
    {"subscriptionId": ["66f1a2b3c4d5e6f708192a3b", {"api-key": "an.unusual-password"}]},
    {"name": "primaryKey", "value": {"Authorization": "Bearer an.unusual-password"}},
    {"primaryKey": [KEY], "secondaryKey": {"old": KEY}, "api-key": "an.unusual-password"},
    [{"name": "secondaryKey", "value": KEY}, {"value": "an.unusual-password", "name": "api-key"}],
    [{"value": "an.unusual-password", "name": "api-key", "other": {"name": "password", "value": "x"}}],
]


@pytest.mark.parametrize("held", HELD)
def test_what_an_uncertain_name_holds_hides_no_key_of_a_certain_one(held: object) -> None:
    text = json.dumps({"x": held, "note": f"an.unusual-password {KEY} api-key: "})
    sealed = FINGERPRINT.seal(Envelope("t", None, None, None, text))
    for scrubbed in (str(sealed.properties), FINGERPRINT.scrub_unreadable(text.encode()).decode()):
        assert '"an.unusual-password"' not in scrubbed
        assert f'"{KEY}"' not in scrubbed
    assert json.loads(str(sealed.properties)).keys() == {"x", "note"}


PROGRAMS = [
    "id = Column(Integer, primary_key=True)",
    'sequelize.define("u", {id: {primaryKey: true, field: "customer_identifier"}})',
    "primaryKey: customerIdentifier",
    "az account set --subscription-id 01234567-89ab-cdef-0123-456789abcdef",
    "subscriptionId=66f1a2b3c4d5e6f708192a3b",
    '{"secondary_key": "customer_identifier"}',
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_texts_about_keys_that_are_none_stay(text: str) -> None:
    assert FINGERPRINT.seal(Envelope("t", None, text, text, '{"n":1}')) == Envelope(
        "t", None, text, text, '{"n":1}'
    )
    assert FINGERPRINT.scrub_unreadable(text.encode()) == text.encode()


UNREADABLE = {
    "cut after the key": (
        f'{{"AppSubscriptionKey": "{KEY}", "Request": "{KEY}',
        f'{{"AppSubscriptionKey": "{MARK}", "Request": "{MARK}',
    ),
    "camel case": (f'{{"appSubscriptionKey":"{KEY}"}}', f'{{"appSubscriptionKey":"{MARK}"}}'),
    "header of the gateway": (
        f"Ocp-Apim-Subscription-Key: {KEY}\r\n",
        f"Ocp-Apim-Subscription-Key: {MARK}\r\n",
    ),
    "header of the service": (f'{{"api-key": "{KEY}"}}', f'{{"api-key": "{MARK}"}}'),
    "query": (f"GET /?subscription-key={KEY}&x=1", f"GET /?subscription-key={MARK}&x=1"),
    "a longer name": (f'{{"subscriptionKeyPrimary": "{KEY}"}}', f'{{"subscriptionKeyPrimary": "{MARK}"}}'),
    "bearer": (f'{{"Authorization": "Bearer {KEY}"}}', f'{{"Authorization": "Bearer {MARK}"}}'),
    "Python's quotes": (f"{{'AppSubscriptionKey': '{KEY}'}}", f"{{'AppSubscriptionKey': '{MARK}'}}"),
    "a number": (
        '{"AppSubscriptionKey": 123456789}',
        f'{{"AppSubscriptionKey": "{FINGERPRINT.of("123456789")}"}}',
    ),
    "escaped once": (
        json.dumps(json.dumps({"AppSubscriptionKey": KEY})),
        json.dumps(json.dumps({"AppSubscriptionKey": MARK})),
    ),
    "escaped twice": (
        json.dumps(json.dumps(json.dumps({"AppSubscriptionKey": KEY}, indent=1))),
        json.dumps(json.dumps(json.dumps({"AppSubscriptionKey": MARK}, indent=1))),
    ),
    "the value elsewhere, before": (
        f'{KEY} {{"AppSubscriptionKey": "{KEY}"',
        f'{MARK} {{"AppSubscriptionKey": "{MARK}"',
    ),
    "two keys": (
        f'"api-key": "{KEY}", "AppSubscriptionKey": "{KEY}"',
        f'"api-key": "{MARK}", "AppSubscriptionKey": "{MARK}"',
    ),
    "an array": (
        f'{{"AppSubscriptionKey": ["{KEY}"], "n": []}}',
        f'{{"AppSubscriptionKey": ["{MARK}"], "n": []}}',
    ),
    "an object": (
        f'{{"AppSubscriptionKey": {{"primary": "{KEY}", "n": [null]}}, "Request": "{KEY}"}}',
        f'{{"AppSubscriptionKey": {{"primary": "{MARK}", "n": [null]}}, "Request": "{MARK}"}}',
    ),
    "an array within a text": (
        json.dumps(json.dumps({"api-key": [KEY], "Authorization": [f"Bearer {KEY}"]})),
        json.dumps(json.dumps({"api-key": [MARK], "Authorization": [f"Bearer {MARK}"]})),
    ),
    "an array that was cut": (f'{{"api-key": ["{KEY}', f'{{"api-key": ["{MARK}'),
    "a number in an array": (
        '{"api-key": [123456789]}',
        f'{{"api-key": ["{FINGERPRINT.of("123456789")}"]}}',
    ),
    "name and value": (
        f'[{{"name": "api-key", "value": "{KEY}"}}, {{"name": "n", "value": "v"}}]',
        f'[{{"name": "api-key", "value": "{MARK}"}}, {{"name": "n", "value": "v"}}]',
    ),
    "value and name": (
        f'[{{"value": "v", "name": "n"}}, {{"Value": ["{KEY}"], "Name": "Ocp-Apim-Subscription-Key"}}]',
        f'[{{"value": "v", "name": "n"}}, {{"Value": ["{MARK}"], "Name": "Ocp-Apim-Subscription-Key"}}]',
    ),
    "name and value within a text": (
        json.dumps(json.dumps([{"name": "api-key", "value": KEY}, {"value": KEY, "name": "api-key"}])),
        json.dumps(json.dumps([{"name": "api-key", "value": MARK}, {"value": MARK, "name": "api-key"}])),
    ),
    "in white space and without": (
        f'{{"AppSubscriptionKey": [" {KEY}\\n"], "Request": "{KEY}',
        '{"AppSubscriptionKey": ["%s"], "Request": "%s' % ((FINGERPRINT.of(f" {KEY}\n"),) * 2),
    ),
    "in the other case": (
        f'{{"AppSubscriptionKey": "{KEY}", "Request": "{KEY.upper()}',
        f'{{"AppSubscriptionKey": "{MARK}", "Request": "{MARK}',
    ),
    "a name as the value of another": (
        f'"api-key":"AppSubscriptionKey": "{KEY}"',
        f'"api-key":"{FINGERPRINT.of("AppSubscriptionKey")}": "{MARK}"',
    ),
    "a header in a header": (
        f"Authorization: api-key: {KEY}",
        f"Authorization: {FINGERPRINT.of('api-key:')} {MARK}",
    ),
    "null": ('{"AppSubscriptionKey": null, "x": ', '{"AppSubscriptionKey": null, "x": '),
    "no key": ("no key at all", "no key at all"),
}


@pytest.mark.parametrize(("body", "scrubbed"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_bytes_are_scrubbed_by_field_name(body: str, scrubbed: str) -> None:
    assert FINGERPRINT.scrub_unreadable(body.encode()).decode() == scrubbed


@pytest.mark.parametrize(("body", "scrubbed"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_long_text_is_scrubbed_as_a_short_one(body: str, scrubbed: str) -> None:
    before = "A keyboard, a token of a secret. " * 30 + "\n"
    assert FINGERPRINT.scrub_unreadable((before + body).encode()).decode() == before + scrubbed


@pytest.mark.parametrize("body", [body for body, _ in UNREADABLE.values()], ids=UNREADABLE)
def test_scrubbing_twice_is_scrubbing_once(body: str) -> None:
    once = FINGERPRINT.scrub_unreadable(body.encode())
    assert FINGERPRINT.scrub_unreadable(once) == once


@pytest.mark.parametrize(
    "key", ['quote"back\\slash-key', "line\nbreak-key", "schlüssel-ключ", "ends-in-a\\", 'ends-in-"']
)
def test_an_escaped_key_has_the_fingerprint_of_the_key_itself(key: str) -> None:
    cut = json.dumps({"AppSubscriptionKey": key, "Request": json.dumps({"echo": key})})[:-1]
    scrubbed = FINGERPRINT.scrub_unreadable(cut.encode()).decode()
    assert json.loads(scrubbed + "}") == {
        "AppSubscriptionKey": FINGERPRINT.of(key),
        "Request": json.dumps({"echo": FINGERPRINT.of(key)}),
    }


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_key_in_utf_16_is_found(encoding: str) -> None:
    body = f'{{"AppSubscriptionKey": "{KEY}", "Request": "..'.encode(encoding)
    scrubbed = FINGERPRINT.scrub_unreadable(body)
    assert KEY.encode("utf-16-le") not in scrubbed
    assert MARK in scrubbed.decode(encoding)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("between", [b"", b"\n", b"\xff", b"\x00", "\U0001f600".encode("utf-16-le")])
def test_keys_are_found_where_bytes_of_two_encodings_stand_in_one_event(
    encoding: str, between: bytes
) -> None:
    text = f'{{"AppSubscriptionKey": "{KEY}", "Request": "{KEY}"}}'
    first, second = text.encode(encoding), text.encode()
    for body in (first + between + second, second + between + first):
        scrubbed = FINGERPRINT.scrub_unreadable(body)
        assert KEY.encode() not in scrubbed
        assert KEY.encode("utf-16-le") not in scrubbed
        assert scrubbed.replace(b"\x00", b"").count(MARK.encode()) == 4


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_key_named_in_one_encoding_is_found_in_the_other(encoding: str) -> None:
    named = f'"api-key": "{KEY}" '
    for body in (named.encode() + KEY.encode(encoding), named.encode(encoding) + KEY.encode()):
        assert FINGERPRINT.scrub_unreadable(body).replace(b"\x00", b"").count(MARK.encode()) == 2


@given(st.binary(max_size=64), st.sampled_from(["utf-16-le", "utf-16-be"]))
def test_bytes_around_a_key_in_utf_16_stay_what_they_are(around: bytes, encoding: str) -> None:
    named = '"api-key":"'.encode(encoding)
    quote = '"'.encode(encoding)
    end = "}".encode(encoding)
    body = around + named + KEY.encode(encoding) + quote + end + around
    expected = around + named + MARK.encode(encoding) + quote + end + around
    assert FINGERPRINT.scrub_unreadable(body) == expected


@pytest.mark.parametrize("cut", range(60, 200))
def test_no_more_than_seven_characters_of_a_key_stay_wherever_the_cut_is(cut: int) -> None:
    body = envelope(AppSubscriptionKey=KEY, Request=f"{KEY} {KEY}")[:cut]
    rest = FINGERPRINT.scrub_unreadable(body).replace(MARK.encode(), b"")
    assert not any(KEY[at : at + 8].encode() in rest for at in range(len(KEY) - 7))


def test_a_salvaged_key_has_the_fingerprint_of_readable_envelopes() -> None:
    sealed = FINGERPRINT.seal(open_envelope(envelope(AppSubscriptionKey=KEY)))
    scrubbed = FINGERPRINT.scrub_unreadable(envelope(AppSubscriptionKey=KEY)[:-30])
    assert str(sealed.AppSubscriptionKey).encode() in scrubbed


@given(st.binary(max_size=200) | st.text('"\\:=kK eyApisubcrton-_{}', max_size=200).map(str.encode))
def test_no_bytes_raise(body: bytes) -> None:
    once = FINGERPRINT.scrub_unreadable(body)
    assert isinstance(once, bytes)


HOSTILE = st.lists(
    st.sampled_from(
        ["api-key", "value", KEY, '"', "'", "\\", ":", "[", "]", "{", "}", ",", "\ud800", "é", " "]
    )
).map("".join)


@given(HOSTILE, HOSTILE | st.none(), HOSTILE, HOSTILE)
def test_no_envelope_raises(key: str, request: str | None, response: str, properties: str) -> None:
    assert isinstance(FINGERPRINT.seal(Envelope("t", key, request, response, properties)), Envelope)


@pytest.mark.parametrize(
    "body",
    [
        "apikey" + "\\" * 300_000,
        "apikey" + " \\n" * 100_000,
        "apikey\\u0022" + "\\" * 300_000,
        "apikey\\u0022:" + "\\u0022" * 80_000,
        '"apikey":"' + '\\"' * 200_000,
        '"apikey":"x",' * 50_000,
        "apikey" * 100_000,
        "apikey=" * 100_000,
        '"apikey":[' * 100_000,
        '{"apikey":' * 100_000,
        '"apikey" ' * 100_000,
        '"value":"apikey" ' * 60_000,
        '{"value":"' + '"apikey"' * 100_000,
        '\\"value\\":\\"' * 60_000 + "apikey'",
        '"apikey":["' + "x" * 500_000,
        '"primaryKey":[' * 100_000,
        '"primaryKey":["' + "x" * 500_000,
        '{"name":"primaryKey","value":[' * 30_000,
        '"subscriptionId":"' * 50_000,
        "subscriptionId=" * 60_000,
        '"subscriptionId":"' + "aA1" * 200_000 + '"',
        '"apikey":["' + "a1" * 250_000 + '"]',
    ],
)
def test_hostile_bytes_take_no_more_than_their_length(body: str) -> None:
    started = process_time()
    assert FINGERPRINT.scrub_unreadable(body.encode())
    assert FINGERPRINT.seal(Envelope("t", None, body, body, body))
    # Four texts of half a megabyte; were one of them tried in every way, this would take hours.
    assert process_time() - started < 20


def test_many_different_keys_are_all_replaced() -> None:
    keys = [f"{number:032x}" for number in range(1_000)]
    body = " ".join(f'"api-key": "{key}" and {key}' for key in keys).encode()
    scrubbed = FINGERPRINT.scrub_unreadable(body)
    assert not [key for key in keys if key.encode() in scrubbed]
