"""What `subscriptions.csv` may hold: fingerprints and ids, and never a key."""

import secrets
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.reference.raw_keys import FINGERPRINT, looks_like_key, without_keys
from oai_usage_pipeline.reference.subscriptions import FILE, read_subscriptions
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint, is_fingerprint
from oai_usage_pipeline_tests.reference.writing import refusal, write

HEADER = "subscription,name,team"
KEYS = [
    "0123456789abcdef0123456789abcdef",
    "0123456789ABCDEF0123456789ABCDEF",
    "k9Jx2mVq8RzT4wYb7NcP3sLf6HgD1aEe",
    "C0h3pQbW2mYr8sXv5tZu9wAe1dFg4jKl7nMo6iPqRsT=",
    "C0h3pQbW2mYr8+Xv5tZu9wAe1/Fg4jKl7nMo6iPqRsTuVw==",
    "sk-proj-C0h3pQbW2mYr8sXv5tZu9wAe1dFg4jKl7nMo6iPqRsTuVw",
    "pQ-x_8RzT4w-Yb7NcP3sLf6_HgD1aEe-k9Jx2mVq8Rz",
    "A1b2C3d4E5f6G7h8I9j0" * 4 + "ACOG",
]
NAMES = [
    "master",
    "5f3c1b2a9d8e7f6a5b4c3d2e",
    "8b1a9953-c461-4f2a-8e3d-6b7c8d9e0f1a",
    "customer-support-production-westeurope-01",
    "Customer_Support_Production_WestEurope_01",
    "Checkout2-WestEuropeProduction-GptTeam-B1",
    "8B1A9953-C461-4F2A-8E3D-6B7C8D9E0F1A",
    "v1-3a6dfa79ef2d5af3b83d44f9220f491f",
    "v12-3a6dfa79ef2d5af3b83d44f9220f491f",
    "Team Müller (EMEA) & friends, second quarter",
    "ann.lee@marketing.example.com",
    "/subscriptions/products/unlimited-chat-and-embeddings",
]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_refused_and_never_shown(tmp_path: Path, key: str) -> None:
    write(tmp_path, FILE, HEADER, f"{key},Chat,Checkout")
    said = refusal(read_subscriptions, tmp_path)
    assert "make its fingerprint with `oai-usage fingerprint`" in said
    assert key not in said
    assert key[5:20] not in said


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "lines",
    [
        [HEADER, "sub-1,{key},Checkout"],
        [HEADER, "sub-1,Chat,the key is {key}."],
        [HEADER, "{key},Chat"],
        [HEADER, "{key},Chat,\nsub-1,{key},"],
        [HEADER + ",{key}", "sub-1,Chat,Checkout,x"],
        ["subscription,name,team,valid_from", "sub-1,Chat,Checkout,{key}"],
        ["subscription,team,valid_from,valid_to", "{key},a,2026-02-01,2026-01-01"],
        [HEADER, '"{key},Chat,Checkout'],
    ],
)
def test_a_key_in_any_place_is_refused_and_never_shown(tmp_path: Path, key: str, lines: list[str]) -> None:
    write(tmp_path, FILE, *(line.format(key=key) for line in lines))
    said = refusal(read_subscriptions, tmp_path)
    assert key not in said
    assert key[5:20] not in said


@pytest.mark.parametrize("name", NAMES)
def test_ids_names_and_fingerprints_are_no_keys(name: str) -> None:
    assert not looks_like_key(name)
    assert without_keys(f"found {name}:") == f"found {name}:"


def test_random_keys_of_the_usual_makes_are_recognised() -> None:
    for _ in range(500):
        raw = secrets.token_bytes(32)
        assert looks_like_key(raw[:16].hex())
        assert looks_like_key(b64encode(raw).decode())
        assert looks_like_key(urlsafe_b64encode(raw).decode())


@given(st.binary(min_size=1), st.integers(1, 10**9 - 1))
def test_every_fingerprint_that_is_made_is_known_as_one(key: bytes, version: int) -> None:
    made = KeyFingerprint(b"pepper", version).of(key.hex())
    assert FINGERPRINT.fullmatch(made)
    assert is_fingerprint(made)
    assert not looks_like_key(made)


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        ("v1-3a6dfa79ef2d5af3b83d44f9220f49", "expected a fingerprint whole"),
        ("v1-3A6DFA79EF2D5AF3B83D44F9220F491F", "expected a fingerprint whole"),
        ("V1-3a6dfa79ef2d5af3b83d44f9220f491f", "expected a fingerprint whole"),
        ("a*b", "expected a fingerprint or the id of an API Management subscription"),
        ("sub\u200b-1", "holds the invisible character U+200B"),
        ("sub\u00a0x", "holds the invisible character U+00A0"),
        ("sub\u202e-1", "holds the invisible character U+202E"),
    ],
)
def test_a_subscription_that_could_match_no_call_is_refused(
    tmp_path: Path, subscription: str, expected: str
) -> None:
    write(tmp_path, FILE, HEADER, f"{subscription},Chat,Checkout")
    assert expected in refusal(read_subscriptions, tmp_path)


def test_two_keys_may_belong_to_one_owner(tmp_path: Path) -> None:
    write(
        tmp_path,
        FILE,
        "subscription,team,owner",
        f"v1-{'0' * 32},Checkout,ann",
        f"v1-{'1' * 32},Checkout,ann",
    )
    assert read_subscriptions(tmp_path)["owner"].to_list() == ["ann", "ann"]


@pytest.mark.parametrize("team", ["unattributed", "Unattributed", "Idle capacity"])
def test_the_pipelines_own_buckets_are_no_teams(tmp_path: Path, team: str) -> None:
    write(tmp_path, FILE, HEADER, f"sub-1,Chat,{team}")
    assert f"column team: found '{team}': this is what the pipeline itself calls" in refusal(
        read_subscriptions, tmp_path
    )
