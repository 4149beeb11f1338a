"""What holds for every shape of event: bronze, keys, status, damage, versions, and its documentation."""

import json
import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.tables import EVENT_SHAPES, STATUSES
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.envelope import open_envelope
from oai_usage_pipeline.usage.shapes import MARK as SHAPE_MARK
from oai_usage_pipeline.usage.shapes import SHAPES
from oai_usage_pipeline_tests.usage.bodies import ENQUEUED_AT, bronze, unreadable
from oai_usage_pipeline_tests.usage.shapes.events import (
    CAMEL_CASE,
    EVENTS,
    KEY,
    KEYS,
    MARK,
    METERED,
    POLICY,
    REFERENCE,
    gateway_log,
    landed,
    llm_log,
    records,
    row_of,
    rows_of,
    rows_of_all,
    rows_of_each,
)

PAGE = (Path(__file__).parents[3] / "docs" / "EVENTS.md").read_text()


def body_of(event: object) -> bytes:
    return json.dumps(event, indent=2).encode()


@pytest.mark.parametrize("shape", EVENT_SHAPES)
def test_every_shape_that_silver_knows_is_read(shape: str) -> None:
    row = row_of(EVENTS[shape])
    assert row["event_shape"] == shape
    assert (row["status"], row["total_tokens"]) == (
        ("unmetered", None) if shape == "gateway_log" else ("metered", 15)
    )
    assert row["event_at"] == ENQUEUED_AT.replace(
        hour=11, minute=59, second=58, microsecond=0 if shape == "metered" else 123_456
    )


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_a_whole_event_is_kept_in_columns_and_properties(event: dict[str, Any]) -> None:
    kept = landed(body_of(event))
    assert kept["reason"] is None
    values = [kept["EventTime"], kept["Request"], kept["Response"], kept["AppSubscriptionKey"]]
    others = json.loads(kept["properties"] or "{}")
    for name, value in event.items():
        assert others.get(name) == value or value in values or KEYS.of(str(value)) in values


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_bytes_that_an_older_version_kept_give_the_same_rows_after_a_rebuild(event: dict[str, Any]) -> None:
    body = body_of(event)
    again = unreadable(KEYS.scrub_unreadable(body), "envelope_unknown")
    assert derive(bronze(again)).equals(derive(bronze(landed(body))))


def test_an_array_that_an_older_version_kept_gives_the_same_rows_after_a_rebuild() -> None:
    body = body_of(list(EVENTS.values()))
    again = unreadable(KEYS.scrub_unreadable(body), "envelope_not_object")
    assert derive(bronze(again)).equals(derive(bronze(landed(body))))


def test_an_array_of_events_has_a_row_for_each_with_its_number() -> None:
    rows = rows_of([*EVENTS.values(), 7, {"x": 1}])
    assert [row["event_index"] for row in rows] == list(range(8))
    assert [row["event_shape"] for row in rows] == [*EVENTS, None, None]
    assert [row["reason"] for row in rows[-2:]] == ["envelope_not_object", "envelope_unknown"]
    assert {row["subscription"] for row in rows} >= {MARK, "team-blue"}
    one_by_one = [row_of(event) for event in EVENTS.values()]
    assert [row | {"event_index": 0} for row in rows[:6]] == one_by_one


def test_an_array_that_was_cut_gives_all_whole_events_and_what_there_is_of_the_cut_one() -> None:
    body = json.dumps([METERED, POLICY, REFERENCE]).encode()
    rows = rows_of(body[:-40])
    assert [(row["event_shape"], row["status"], row["total_tokens"]) for row in rows] == [
        ("metered", "metered", 15),
        ("policy", "metered", 15),
        ("reference", "unmetered", None),
    ]
    assert [row["reason"] for row in rows] == [None, None, "truncated"]
    assert (rows[2]["subscription"], rows[2]["user_id"], rows[2]["response_id"]) == (
        MARK,
        "u-1",
        "chatcmpl-1",
    )


def test_an_array_cut_anywhere_loses_no_whole_event_and_invents_none() -> None:
    events = [REFERENCE, CAMEL_CASE, records(gateway_log(), llm_log())]
    body = json.dumps(events).encode()
    ends = [len(json.dumps(events[:count]).encode()) - 1 for count in range(1, 4)]
    first = body.index(b",")
    for end, rows in zip(
        range(first, len(body)), rows_of_each(body[:end] for end in range(first, len(body))), strict=True
    ):
        whole = sum(end >= each for each in ends)
        assert [row["total_tokens"] for row in rows[:whole]] == [15] * whole
        assert whole or rows[0]["status"] == "unmetered"
        assert len(rows) in (whole, whole + 1)
        assert "truncated" in rows[-1]["reason"]


def test_an_array_cut_between_two_events_is_whole_but_for_what_is_missing() -> None:
    body = json.dumps([POLICY, POLICY]).encode()
    row = row_of(body[: len(json.dumps(POLICY)) + 3])
    assert (row["status"], row["total_tokens"], row["reason"]) == ("metered", 15, "truncated")


def test_rows_of_several_events_keep_their_order_and_numbers() -> None:
    several = landed(body_of([METERED, POLICY]))
    usual = landed(body_of(REFERENCE))
    silver = derive(bronze(usual, several, unreadable(b"x", "envelope_not_json"), several, usual))
    assert silver.select("sequence_number", "event_index", "event_shape").rows() == [
        (0, 0, "reference"),
        (1, 0, "metered"),
        (1, 1, "policy"),
        (2, 0, None),
        (3, 0, "metered"),
        (3, 1, "policy"),
        (4, 0, "reference"),
    ]


@pytest.mark.parametrize("name", ["camel_case", "reference"])
def test_a_key_is_fingerprinted_in_its_own_field_and_in_the_texts(name: str) -> None:
    fields = EVENTS[name]
    bodies = {
        each: fields[each].replace("Hi", KEY).replace("Hello", KEY.upper()) for each in list(fields)[2:4]
    }
    kept = landed(body_of(fields | bodies))
    assert kept["AppSubscriptionKey"] == MARK
    assert KEY not in repr(kept).lower()
    assert row_of(fields | bodies)["subscription"] == MARK


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize(
    "extra",
    [
        {"headers": {"Ocp-Apim-Subscription-Key": [KEY]}},
        {"headers": [{"name": "api-key", "value": KEY}]},
        {"Authorization": f"Bearer {KEY}"},
        {"url": f"https://apim.example/x?subscription-key={KEY}&x=1"},
        {"subscriptionKey": KEY, "note": f"the key is {KEY}"},
    ],
)
def test_a_key_under_any_name_is_scrubbed_and_costs_no_row(name: str, extra: dict[str, Any]) -> None:
    event = EVENTS[name] | extra
    if "records" in event:
        first = event["records"][0]
        event = records(first | {"properties": first["properties"] | extra})
    kept = landed(body_of(event))
    assert KEY not in repr(kept)
    assert row_of(event)["event_shape"] == name


@pytest.mark.parametrize("name", EVENTS)
def test_no_text_of_a_caller_can_spoil_what_is_charged(name: str) -> None:
    text = "my api-key: "
    event = EVENTS[name] | {"note": text, "total": 12345678}
    if "records" in event:
        first = event["records"][0]
        spoiling = {"responseMessages": [{"content": text}], "totalTokens": 15, "requestMessages": text}
        event = records(first | {"properties": spoiling | first["properties"] | {"note": text}})
    assert row_of(event)["total_tokens"] == row_of(EVENTS[name])["total_tokens"]


def test_a_number_that_is_called_a_key_is_no_other_number() -> None:
    spoiling = {"note": '"api-key": "12345678", api-key: ', "api-key": 12345678}
    kept = landed(body_of(METERED | spoiling | {"totalTokens": 12345678}))
    assert json.loads(kept["properties"])["totalTokens"] in (12345678, KEYS.of("12345678"))
    assert json.loads(kept["properties"])["api-key"] == KEYS.of("12345678")


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_damaged_events_of_any_shape_never_fail_the_batch(event: dict[str, Any]) -> None:
    body = body_of(event)
    damaged = [
        each
        for at in range(0, len(body), 7)
        for each in (body[:at], body[:at] + b"\x00" + body[at + 1 :], body[:at] + b"9" + body[at:])
    ]
    rows = rows_of_all(damaged)
    assert {row["sequence_number"] for row in rows} == set(range(len(damaged)))
    assert {row["status"] for row in rows} <= set(STATUSES)
    assert not [row for row in rows if row["reason"] == "parser_failed"]


_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(KEY),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
_names = sorted(
    {name for shape in SHAPES for contract in shape.contracts for name in get_type_hints(contract)}
)
_fields = st.dictionaries(
    st.sampled_from([*_names, "properties", "records", "event_shape"]), _value, max_size=6
)


@settings(max_examples=150)
@given(st.sampled_from(list(EVENTS)), _fields, _fields)
def test_no_values_of_known_fields_fail_the_batch(
    name: str, changed: dict[str, Any], inner: dict[str, Any]
) -> None:
    event = EVENTS[name] | changed
    if name.endswith("_log"):
        first = EVENTS[name]["records"][0]
        event = records(first | changed, first | {"properties": first["properties"] | inner})
    rows = rows_of(event)
    assert rows
    assert {row["status"] for row in rows} <= set(STATUSES)
    assert rows_of(event) == rows
    assert not any(row["reason"] == "parser_failed" for row in rows)


def test_reference_envelopes_are_not_marked_and_all_others_are() -> None:
    for name, event in EVENTS.items():
        properties = open_envelope(body_of(event)).properties
        assert bool(properties and properties.startswith(SHAPE_MARK)) == (name != "reference")


@pytest.mark.parametrize("name", ["policy", "camel_case", "metered"])
def test_a_field_of_the_name_of_our_mark_does_not_change_the_shape(name: str) -> None:
    assert row_of({"event_shape": "reference"} | EVENTS[name])["event_shape"] == name


def test_a_mark_that_no_version_knows_is_read_as_the_columns_are() -> None:
    kept = landed(body_of(POLICY)) | {"properties": '{"event_shape":"of the future"}'}
    (row,) = derive(bronze(kept)).to_dicts()
    assert (row["status"], row["total_tokens"]) == ("metered", 15)


@pytest.mark.parametrize(
    "properties", ['{"event_shape":"policy"', '{"event_shape":"array"}', '{"event_shape":"']
)
def test_a_mark_that_can_not_be_read_rejects_one_row_alone(properties: str) -> None:
    silver = derive(bronze({}, {"properties": properties}, {}))
    assert silver["status"].to_list() == ["metered", "rejected", "metered"]
    assert silver["reason"].to_list() == [None, "parser_failed", None]


def test_a_key_that_scrubbing_overlooked_never_reaches_silver() -> None:
    overlooked = unreadable(body_of(CAMEL_CASE), "envelope_unknown")
    assert derive(bronze(overlooked))["subscription"].to_list() == [None]


BASE64_KEY = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="
IDS: dict[str, str] = {"policy": "subscriptionId", "metered": "subscriptionId"}


def with_id(name: str, subscription_id: object) -> dict[str, Any]:
    """An event of a shape with the id of its subscription, the same id in a text and in another field."""
    texts = {"request": f"I am {subscription_id}", "x": [str(subscription_id)]}
    if name == "gateway_log":
        return records(gateway_log(apimSubscriptionId=subscription_id, **texts))
    return EVENTS[name] | {"subscriptionId": subscription_id} | texts


@pytest.mark.parametrize("key", [KEY, KEY.upper(), BASE64_KEY, BASE64_KEY.rstrip("="), f" {KEY}\n"])
@pytest.mark.parametrize("name", ["policy", "metered", "gateway_log"])
def test_a_key_that_was_logged_as_the_subscription_s_id_is_fingerprinted(name: str, key: str) -> None:
    kept = landed(body_of(with_id(name, key)))
    assert key.strip() not in repr(kept)
    row = row_of(with_id(name, key))
    assert (row["subscription"], row["event_shape"]) == (KEYS.of(key.strip()), name)
    assert repr(kept).count(KEYS.of(key.strip())) >= 3


@pytest.mark.parametrize("key", [KEY, BASE64_KEY])
def test_such_a_key_is_scrubbed_from_bytes_that_can_not_be_opened(key: str) -> None:
    whole = body_of({"subscriptionId": key, "request": f"I am {key}", "more": "x" * 99})
    for body in (whole, whole[:-60], json.dumps(whole.decode()).encode(), b"\xff" + whole):
        kept = landed(body)["body"]
        assert key.encode() not in kept
        assert kept.count(KEYS.of(key).encode()) == 2


@pytest.mark.parametrize("left", range(8, len(KEY)))
def test_most_of_such_a_key_that_was_cut_is_scrubbed_too(left: int) -> None:
    body = json.dumps({"recordVersion": 1, "subscriptionId": KEY}).encode()
    cut = body[: body.index(KEY.encode()) + left]
    assert KEY[:left].encode() not in landed(cut)["body"]


NO_KEYS = {
    "the gateway's own": "66f1a2b3c4d5e6f708192a3b",
    "a name": "team-blue",
    "a long name": "Team-Blue-Of-The-Company-2024-Production",
    "a path": "/subscriptions/0123456789abcdef01234567/products/Starter1/apis/Chat2",
    "a GUID": "01234567-89ab-cdef-0123-456789abcdef",
    "31 hexadecimals": KEY[:-1],
    "33 hexadecimals": f"{KEY}0",
    "words of one case": "averylongnameofateamwithoutanydashes2024",
    "no name": "",
}


@pytest.mark.parametrize("subscription_id", NO_KEYS.values(), ids=NO_KEYS)
@pytest.mark.parametrize("name", ["policy", "metered", "gateway_log"])
def test_an_id_that_is_no_key_stays(name: str, subscription_id: str) -> None:
    kept = landed(body_of(with_id(name, subscription_id)))
    assert "v1-" not in repr(kept)
    assert row_of(with_id(name, subscription_id))["subscription"] == (subscription_id or None)


@pytest.mark.parametrize("name", ["policy", "metered", "gateway_log"])
def test_a_key_that_an_older_version_kept_as_an_id_never_reaches_silver(name: str) -> None:
    older = open_envelope(body_of(with_id(name, KEY)))._asdict()
    assert KEY in older["properties"]
    assert derive(bronze(older))["subscription"].to_list() == [None]


@pytest.mark.parametrize(
    "field", ["primaryKey", "secondaryKey", "PrimaryKey", "primary_key", "x-functions-key"]
)
@pytest.mark.parametrize("name", EVENTS)
def test_a_subscription_s_two_keys_and_a_function_s_are_scrubbed(name: str, field: str) -> None:
    extra = {"of": {field: KEY}, "note": f"it is {KEY}"}
    event = EVENTS[name] | extra
    if "records" in event:
        event = records(event["records"][0] | extra)
    assert KEY not in repr(landed(body_of(event)))
    assert row_of(event)["event_shape"] == name
    assert KEY.encode() not in KEYS.scrub_unreadable(body_of(extra)[:-3])


def tables_of(page: str) -> dict[str, list[tuple[str, str]]]:
    """Field and type of each table of the page, by the contract that its heading names."""
    sections = re.split(r"^#+ .*`(\w+Contract)`.*$", page, flags=re.MULTILINE)[1:]
    rows = re.compile(r"^\| `(\w+)` \| ([^|]+?) \|", re.MULTILINE)
    return {name: rows.findall(text) for name, text in zip(sections[::2], sections[1::2], strict=True)}


def type_of(hint: object) -> str:
    """A field's type as the page writes it: JSON's own words."""
    text = str(hint).replace("dict[str, typing.Any]", "dict")
    words = {"str": "text", "int": "number", "float": "number", "bool": "boolean", "dict": "object"}
    found = [word for name, word in words.items() if re.search(rf"\b{name}\b", text)]
    return " or ".join(dict.fromkeys(found)) or "array or text"


@pytest.mark.parametrize("contract", [each for shape in SHAPES for each in shape.contracts])
def test_the_page_describes_every_field_of_every_shape_in_order(contract: type) -> None:
    fields = [(name, type_of(hint)) for name, hint in get_type_hints(contract, include_extras=True).items()]
    assert tables_of(PAGE)[contract.__name__] == fields


def test_the_page_shows_a_whole_record_of_our_policy() -> None:
    (example,) = [
        each for each in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) if "recordVersion" in each
    ]
    record = json.loads(example)
    (contract,) = next(shape for shape in SHAPES if shape.name == "policy").contracts
    assert list(record) == list(get_type_hints(contract))
    row = row_of(record)
    assert (row["status"], row["reason"]) == ("metered", None)
    assert row["subscription"] == record["subscriptionId"]


def test_the_page_names_every_reason_of_an_event() -> None:
    reasons = ["bodies_not_logged", "llm_log_without_tokens", "gateway_log_only", "category_unknown"]
    reasons += ["not_a_model_call"]
    for reason in (
        *reasons,
        "too_many_records",
        "record_unreadable",
        "envelope_unknown",
        "envelope_not_object",
    ):
        assert f"`{reason}" in PAGE


def test_llm_and_gateway_logs_of_one_call_are_one_row() -> None:
    row = row_of(records(gateway_log(), llm_log()))
    assert (row["event_shape"], row["status"], row["subscription"]) == ("llm_log", "metered", "team-blue")
