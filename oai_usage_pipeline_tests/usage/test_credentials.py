"""Credentials in bodies leave no trace but their fingerprint, and ordinary texts stay what they are."""

import base64
import inspect
import json
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.usage import key_search, texts
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.envelope import Envelope
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.usage.bodies import bronze, chat, envelope
from oai_usage_pipeline_tests.usage.shapes.events import landed

FINGERPRINT = KeyFingerprint(b"pepper")
CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "recorded.jsonl"

# Parts, so that no scanner takes this file for a leak. None of them was ever valid.
JWT = ".".join(("eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxMjM0NTY3ODkwIn0", "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"))
BASE64 = base64.b64encode(bytes(range(40, 104))).decode()
SIGNATURE = "abc%2Bdef123ghi456jkl789mno012%3D"
APPLICATION = "ab.8Q" + "~" + "Za1b2C3d4_" * 3 + "abcd"
AZURE = "a1" * 26 + "JQ" + "QJ99BL" + "ACYeBjFXJ3w3AAAA" + "Ba1b2c3d"

CREDENTIALS = {
    "a bearer": ("Bearer {}", JWT),
    "a header": ("curl -H 'authorization: bearer {}' https://x", JWT),
    "an opaque token": ("Bearer {} ", "abc123def456ghi789.-_~+/="),
    "an encoded space": ("token=Bearer%20{}&x", "abc123def456ghi789"),
    "a name and a password": ("Basic {}", base64.b64encode(b"user:pass").decode()),
    "a token alone": ("it was {}.", JWT.removesuffix(".")),
    "a token with a key of its own": ("<{}>", f"eyJhbGciOiJkaXIifQ..{'a1' * 9}.{'b2' * 9}.{'c3' * 9}"),
    "an encrypted token": ("<{}>", f"{JWT}.{'a1' * 9}.{'b2' * 9}"),
    "a storage account": ("AccountName=x;AccountKey={};EndpointSuffix=core.windows.net", BASE64),
    "an event hub": ("SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={}", BASE64[:44]),
    "a signed URL": ("https://x.blob.core.windows.net/c?sv=2022&sig={}&se=1", SIGNATURE),
    "a signature": ("SharedAccessSignature sr=a&sig={}&se=1", SIGNATURE),
    "a header of the service": ("api-key: {}\r\n", "0123456789abcdef0123456789abcdef"),
    "a provider's key": ("key: {}", "sk-proj-abcDEF123456ghiJKL7890"),
    "a provider's key at a line's start": ("{}\n", "sk-ant-api03-abcDEF123456ghiJKL7890"),
    "a token at a line's start": ("{}\n", JWT),
    "a signature at a line's start": ("sig={}", SIGNATURE),
    "a key in a query": ("?q=%22{}%22", "sk-proj-abcDEF123456ghiJKL7890"),
    "an application's secret": ("client_secret={}", APPLICATION),
    "the same without a name": ("'{}'", APPLICATION),
    "a secret behind an escape": ("\\u0022{}\\u0022", APPLICATION),
    "a key of Azure's": ("my key {} is", AZURE),
    "a token by name": ("access_token: {}", "abcdef1234567890"),
    "a password": ("password: {}", "S3cret-Passw0rd!"),
    "a password of base64": ('"password":"{}"', "ab/cd+EF12gh/IJkl=="),
    "a password in a query": ("?pwd={}&x", "S3cretPassw0rd"),
    "a password in the environment": ("DB_PASSWORD = {}", "hunter2hunter2"),
    "a token by a common name": ("github_token={}", "abc123def456ghi789"),
    "a secret": ("secret: {}", "abc123def456ghi789"),
    "a code in a URL": ("https://x.azurewebsites.net/api/f?code={}&x=1", "abc123DEF456ghi789=="),
    "a code in a page": ("<a href='/?a=1&amp;code={}'>", "abc123DEF456ghi789%3D%3D"),
    "a header as a pair": ("[['x-api-key', '{}'], ['a', 'b']]", "0123456789abcdef0123456789abcdef"),
    "a header as a tuple": ("('authorization', 'Bearer {}')", "abc123def456ghi789"),
    "a bearer behind a space of a page": ("Bearer\u00a0{}", "abc123def456ghi789"),
    "a bearer behind a thin space": ("Bearer\u2009{}", "abc123def456ghi789"),
    "a key by name behind such a space": ("Authorization: Bearer\u00a0{}", "abc123def456ghi789"),
    **{
        f"a key with the mark {mark}": ("it was {}.", mark + rest)
        for mark, rest in (
            *((f"gh{kind}_", "a1B2" * 9) for kind in "opsur"),
            ("github_pat_", "11ABCDEFG0_abcdefghijkl"),
            ("glpat-", "abcDEF-123456_ghijKL7"),
            *((f"xox{kind}-", "123456789012-abcDEF") for kind in "abprs"),
            ("AKIA", "IOSFODNN7EXAMPLE"),
            ("AIza", "SyA-1234567890abcdefghijklmnopqrs_x"),
        )
    },
    "a token of a response": ('{{"refreshToken": "{}"}}', "0.abcdef1234567890"),
}


def nested(text: str, depth: int) -> str:
    for _ in range(depth):
        text = json.dumps({"text": f"first\n{text}"})
    return text


def unnested(text: str, depth: int) -> str:
    for _ in range(depth):
        text = json.loads(text)["text"].removeprefix("first\n")
    return text


def scrubbed(text: str) -> str:
    return str(FINGERPRINT.seal(Envelope("t", None, text, None)).Request)


@pytest.mark.parametrize(("around", "secret"), CREDENTIALS.values(), ids=CREDENTIALS)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_credential_is_replaced_at_every_depth_of_escaping(around: str, secret: str, depth: int) -> None:
    text = nested(around.format(secret), depth)
    marked = around.format(FINGERPRINT.of(secret))
    assert unnested(scrubbed(text), depth) == marked
    assert unnested(FINGERPRINT.scrub_unreadable(text.encode()).decode(), depth) == marked


@pytest.mark.parametrize(("around", "secret"), CREDENTIALS.values(), ids=CREDENTIALS)
def test_a_credential_is_replaced_as_some_writers_escape_it(around: str, secret: str) -> None:
    text = (
        nested(around.format(secret), 1).replace("/", "\\/").replace("+", "\\u002B").replace("&", "\\u0026")
    )
    assert unnested(scrubbed(text), 1) == around.format(FINGERPRINT.of(secret))
    assert secret not in unnested(FINGERPRINT.scrub_unreadable(text.encode()).decode(), 1)


@pytest.mark.parametrize(("around", "secret"), CREDENTIALS.values(), ids=CREDENTIALS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_a_credential_in_utf_16_is_replaced(around: str, secret: str, encoding: str) -> None:
    text = around.format(secret)
    replaced = FINGERPRINT.scrub_unreadable(text.encode(encoding)).decode(encoding)
    assert replaced == around.format(FINGERPRINT.of(secret))


@pytest.mark.parametrize(("around", "secret"), CREDENTIALS.values(), ids=CREDENTIALS)
def test_scrubbing_credentials_twice_is_scrubbing_once(around: str, secret: str) -> None:
    once = scrubbed(around.format(secret))
    assert scrubbed(once) == once
    body = FINGERPRINT.scrub_unreadable(around.format(secret).encode())
    assert FINGERPRINT.scrub_unreadable(body) == body


def test_a_text_may_hold_credentials_of_every_kind() -> None:
    text = "\n".join(around.format(secret) for around, secret in CREDENTIALS.values())
    marked = "\n".join(around.format(FINGERPRINT.of(secret)) for around, secret in CREDENTIALS.values())
    assert scrubbed(text) == marked
    assert FINGERPRINT.scrub_unreadable(text.encode()).decode() == marked


@pytest.mark.parametrize("secret", [JWT, AZURE, BASE64])
def test_a_long_credential_is_replaced_in_every_text_of_its_event(secret: str) -> None:
    sealed = FINGERPRINT.seal(
        Envelope("t", None, f"Bearer {secret}", f"you said {secret}", f'{{"x":"<{secret}>"}}')
    )
    assert secret not in repr(sealed)
    assert sealed.Response == f"you said {FINGERPRINT.of(secret)}"


@pytest.mark.parametrize("name", ["gpt4omini2024prod01", "ft:gpt-4o-mini-2024-07-18:org::AbCd1234"])
def test_no_caller_can_rename_the_model_by_taking_it_for_a_token(name: str) -> None:
    said = f"Bearer {name} Basic {name} sk-{name} token: {name} password={name} secret: {name} x"
    request = json.dumps({"messages": [{"role": "user", "content": said}]})
    response = json.dumps(json.loads(chat()) | {"model": name})
    cut = envelope(Request=request, Response=response).replace(b'"AppSubscriptionKey"', b'"x"')[:-1]
    assert name in FINGERPRINT.scrub_unreadable(cut).decode()
    row = derive(bronze(landed(envelope(Request=request, Response=response)))).row(0, named=True)
    assert (row["model"], row["total_tokens"], row["status"]) == (name, 15, "metered")


@given(
    st.lists(st.sampled_from([*(a.format(s) for a, s in CREDENTIALS.values()), "\\", '"', "\u00e9", "\n"]))
)
def test_a_body_with_credentials_stays_json_and_is_charged_as_before(pieces: list[str]) -> None:
    response = json.loads(chat())
    response["choices"][0]["message"]["content"] = "".join(pieces)
    sealed = FINGERPRINT.seal(Envelope("t", None, json.dumps(pieces), json.dumps(response)))
    assert len(json.loads(str(sealed.Request))) == len(pieces)
    after = json.loads(str(sealed.Response))
    assert {**after, "choices": None} == {**response, "choices": None}


ORDINARY = [
    "Basic understanding of basic concepts, basically. BASIC programmers",
    "Basic YWJjZGVmZ2g= is base64 of a word, and Basic abcdefgh123 of no text",
    "bearer bonds are bearer instruments; the Bearer token-based scheme; wearer abc123def456ghi789",
    "Authorization: Bearer <token>",
    'headers={"Authorization": f"Bearer {token}"}',
    "Bearer $ACCESS_TOKEN and Bearer ${{ secrets.GITHUB_TOKEN }}",
    "ask-questions-about-things-2024 risk-1234567890abcdefghijklmn task-1234567890abcdefghijklmn",
    "sk-loading-spinner-animation-class-name",
    "config=abcdef1234567890abcdef design=1234567890abcdef12345678 sig=value sig=",
    "eyJ begins base64 of JSON, as eyJhbGciOiJIUzI1NiJ9 does.",
    '{"completion_tokens": 12345678, "access_token_type": "none", "total_tokens": 1}',
    "account_key: customer; accountKey = row[0]; ACCOUNT_KEY integer primary key",
    "SharedAccessKeyName=RootManageSharedAccessKey;EntityPath=hub",
    'client_secret=os.environ["CLIENT_SECRET"], client_secret: str | None',
    "JQQJ9 is no key, nor is 8Q~, nor " + "a1" * 40,
    "refresh_token_expires_in: never",
    '{"max_tokens": 12345678, "total_tokens": 87654321, "token_type": "bearer2024x", "tokens": [12345678]}',
    '{"logprobs":{"content":[{"token":" hello12","logprob":-0.1},{"token":"gpt","bytes":[103]}]}}',
    '{"password": {"type": "string"}, "token": {"type": "string"}, "secret": {"type": "string"}}',
    'password = os.environ["PASSWORD1"]; token = generate_token(user1); secret: str | None',
    "password: correct-horse-battery; the password is 12345678 and the token is abc12345; PWD=/home/user1/x",
    '["api-key", "x-tenant", "content-type"], ["token", "tokens"], ("secret", "agent007isback", "x")',
    "status_code=abc123def456ghi789 barcode=abc123def456ghi789 code=abc123def456ghi789 /code?q=1",
    "AKIA, AIza, ghp_ and xoxb- begin keys; MAKIAVELLIANISM0123456 ghp_short github_pattern_of_names_in_code",
    "apiKey => validated.apiKeys, token => tokens12345678, subscriptionKey || defaultSubscriptionKey",
    'curl -H "Authorization: <API-KEY>" https://<api-key>/some/path1234567890 --api-key>file1234567890abc',
    "<label for='api-key'>Subscription</label> <api-key>{value}</api-key> <token>string</token>",
    "| api-key | description | required | | Authorization | credentials |\n| token | identifier | no |",
    "echo $API_KEY | sha256sum; echo $TOKEN | sha256sum; echo $PASSWORD | sha256sum",
    "| subscriptionId | 66f1a2b3c4d5e6f708192a3b |",
    "PWD=/Users/Ada/Project1/source password: docs/setup2/guide",
    inspect.getsource(key_search),
    inspect.getsource(texts),
]


@pytest.mark.parametrize("text", ORDINARY)
def test_prose_and_programs_stay(text: str) -> None:
    assert scrubbed(text) == text
    if "uthorization" not in text and '"api-key"' not in text:
        # In bytes that nothing can parse, whatever these hold is replaced.
        assert FINGERPRINT.scrub_unreadable(text.encode()).decode() == text


@pytest.mark.skipif(not CORPUS.exists(), reason="the recorded calls are not beside this checkout")
def test_of_recorded_calls_only_signed_urls_and_passwords_of_sessions_change() -> None:
    changed = []
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        before = Envelope("t", None, call["request"], call["response"])
        after = FINGERPRINT.seal(before)
        if after != before:
            signed, password = str(after).count("&sig=v1-"), str(after).count("a=ice-pwd:v1-")
            assert str(after).count("v1-") == signed + password
            changed.append((call["endpoint"], signed, password))
    assert sorted(changed) == [("images", 1, 0)] * 3 + [("realtime", 0, 4)] * 2


HOSTILE = {
    "tokens": "Bearer a1b2c3d4e5f6a7b8c9d0 " * 35_000,
    "different tokens": " ".join(f"Bearer {number:032x}aB" for number in range(22_000)),
    "no tokens": "Bearer " * 140_000,
    "gaps": "Bearer" + " " * 1_000_000,
    "escapes": "Bearer " + "\\" * 1_000_000,
    "escaped characters": "Bearer " + "\\u002B" * 160_000,
    "heads of JWT": "eyJ" * 330_000,
    "heads and points": "eyJabcdefgh." * 80_000,
    "half JWT": "eyJhbGciOiJIUzI1NiJ9.eyJ" * 40_000,
    "pairs": "Basic dXNlcjpwYXNz " * 52_000,
    "a long pair": "Basic " + "A" * 1_000_000,
    "signatures": "&sig=" * 200_000,
    "a long signature": "&sig=" + "a" * 1_000_000,
    "heads of keys": "sk-" * 330_000,
    "keys": "sk-abcdefgh1234567890abcdef " * 37_000,
    "marks": "JQQJ99a" * 140_000,
    "a mark at the end": "a" * 1_000_000 + "JQQJ99",
    "marks of secrets": "8Q~" * 330_000,
    "names": "AccountKey=" * 90_000,
    "fields": "SharedAccessKey=abc1defgh2345678;" * 30_000,
    "quoted fields": '"client_secret":"' * 58_000,
    "ends of names": "key" * 330_000,
    "ends of tokens": "access_token" * 83_000,
    "common names": "token=" * 160_000,
    "common names with values": "password=a1b2c3d4e5 " * 50_000,
    "codes": "?code=" * 160_000,
    "pairs in brackets": '["api-key","' * 80_000,
    "a name in brackets": "[" * 500_000 + '"api-key","' + "]" * 500_000,
    "marks of makers": "ghp_AKIAxoxb-" * 70_000,
    "elements": "<api-key>" * 110_000,
    "heads of elements": "api-key>" * 130_000,
    "cells": "api-key|" * 130_000,
    "a long element": "api-key>" + "a" * 1_000_000,
    "arrows": "api-key =>" * 100_000,
    "a name and spaces of pages": "api-key" + "\u00a0" * 400_000,
    "a name and escaped spaces": "api-key" + "\\u00a0" * 160_000,
    "code": "api-key`" * 130_000,
    "slashes": "api-key>" + "\\/" * 500_000,
    "wide spaces": "Bearer" + "\u00a0" * 400_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_is_scrubbed_in_more_than_the_time_of_its_length(text: str) -> None:
    text = text[: 2**18]
    started = process_time()
    FINGERPRINT.scrub_unreadable(text.encode())
    scrubbed(text)
    # The processor's time, of which others on the machine take little; tried in every way, it takes hours.
    assert process_time() - started < 2
