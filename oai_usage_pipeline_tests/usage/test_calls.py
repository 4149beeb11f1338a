"""One call, however many records of it there are, is counted once."""

from datetime import timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.tables import USAGE_EVENTS
from oai_usage_pipeline.usage.aggregate import aggregate
from oai_usage_pipeline.usage.calls import CALL_IDS, CALL_WINDOW, DUPLICATES, one_row_per_call, repeated_ids
from oai_usage_pipeline_tests.usage.bodies import ENQUEUED_AT
from oai_usage_pipeline_tests.usage.silver_rows import silver

TOKENS = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
POLICY = {
    "event_shape": "policy",
    "request_id": "req-1",
    "response_id": "chatcmpl-1",
    "subscription": "team-a",
}
REFERENCE = {"event_shape": "reference", "response_id": "chatcmpl-1", "subscription": "v1-a"}
LLM_LOG = {"event_shape": "llm_log", "request_id": "req-1", "deployment": "gpt-4o"}
GATEWAY_LOG = {
    "event_shape": "gateway_log",
    "request_id": "req-1",
    "status": "unmetered",
    "region": "westeurope",
}


def calls(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    """The merged rows, without what is null."""
    merged = one_row_per_call(silver(*rows))
    assert merged.columns[1:] != []
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in merged.iter_rows(named=True)
    ]


def test_the_same_call_logged_by_two_shapes_is_one() -> None:
    [call] = calls(REFERENCE | TOKENS, POLICY | TOKENS)
    assert (call["event_shape"], call["input_tokens"], call[DUPLICATES]) == ("policy", 10, 1)


def test_the_caller_comes_from_the_log_that_knows_him_and_the_tokens_from_the_one_that_has_them() -> None:
    [call] = calls(
        LLM_LOG | TOKENS, POLICY | {"status": "unmetered", "reason": "stream_without_usage"}, GATEWAY_LOG
    )
    assert (call["status"], call["output_tokens"], call["subscription"]) == ("metered", 5, "team-a")
    assert (call["deployment"], call["region"], call["response_id"]) == ("gpt-4o", "westeurope", "chatcmpl-1")
    assert "reason" not in call
    assert call[DUPLICATES] == 2


def test_records_are_joined_through_a_third_one() -> None:
    [call] = calls(LLM_LOG | TOKENS, REFERENCE | {"status": "unmetered"}, POLICY | {"status": "unmetered"})
    assert (call["status"], call[DUPLICATES]) == ("metered", 2)


def test_a_fetched_response_is_the_call_that_made_it() -> None:
    fetched = REFERENCE | TOKENS | {"is_retrieval": True, "response_id": "resp_1"}
    [call] = calls(REFERENCE | TOKENS | {"response_id": "resp_1", "user_id": "u"}, fetched, fetched)
    assert (call["is_retrieval"], call["user_id"], call["input_tokens"], call[DUPLICATES]) == (
        False,
        "u",
        10,
        2,
    )


def test_a_queued_response_that_is_polled_until_it_is_done_is_counted_by_its_last_word() -> None:
    pending = {"response_id": "resp_1", "status": "pending", "reason": "queued"}
    poll = pending | {"is_retrieval": True}
    [call] = calls(pending | {"request_model": "gpt-5"}, poll, poll, poll | TOKENS | {"status": "metered"})
    assert (call["status"], call["request_model"], call["total_tokens"]) == ("metered", "gpt-5", 15)


def test_a_background_response_is_charged_to_who_asked_for_it_not_to_who_fetched_it() -> None:
    asked = {"response_id": "resp_1", "status": "pending", "subscription": "team-a", "request_id": "r1"}
    later = {"event_at": ENQUEUED_AT + timedelta(seconds=2), "subscription": "monitoring", "request_id": "r2"}
    fetched = TOKENS | later | {"response_id": "resp_1", "is_retrieval": True, "user_id": "watcher"}
    [call] = calls(fetched, asked)
    assert (call["subscription"], call["event_at"], call["input_tokens"]) == ("team-a", ENQUEUED_AT, 10)
    assert call["request_id"] == "r1"


def test_two_logs_of_one_request_are_one_call_even_if_they_count_differently() -> None:
    [call] = calls(LLM_LOG | TOKENS | {"output_tokens": 6}, POLICY | TOKENS, GATEWAY_LOG)
    assert (call["event_shape"], call["output_tokens"], call[DUPLICATES]) == ("policy", 5, 2)


def test_one_answer_that_a_cache_gives_to_two_callers_is_two_calls() -> None:
    other = {"request_id": "req-2", "subscription": "team-b"}
    found = calls(POLICY | TOKENS, POLICY | TOKENS | other, LLM_LOG | TOKENS | other)
    assert [(call["subscription"], call[DUPLICATES]) for call in found] == [("team-a", 0), ("team-b", 1)]


def test_an_id_that_is_used_again_with_other_counts_merges_nothing() -> None:
    found = calls(REFERENCE | TOKENS, REFERENCE | TOKENS | {"input_tokens": 11})
    assert [call["input_tokens"] for call in found] == [10, 11]


def test_an_id_that_is_used_again_later_merges_nothing() -> None:
    later = {"event_at": ENQUEUED_AT + CALL_WINDOW + timedelta(microseconds=1)}
    assert len(calls(REFERENCE | TOKENS, REFERENCE | TOKENS | later)) == 2
    assert len(calls(REFERENCE | TOKENS, REFERENCE | TOKENS | {"event_at": ENQUEUED_AT + CALL_WINDOW})) == 1


def test_calls_without_ids_are_never_merged() -> None:
    assert len(calls(TOKENS, TOKENS, TOKENS)) == 3


def test_repeated_ids_are_found_in_either_column_and_across_frames() -> None:
    rows = silver({"request_id": "a"}, {"request_id": "a"}, {"response_id": "b"}, {"response_id": "c"})
    other = silver({"response_id": "c", "request_id": "d"})
    assert len(repeated_ids(rows.select(CALL_IDS))) == 1
    assert len(repeated_ids(rows.select(CALL_IDS), other.select(CALL_IDS))) == 2


_row = st.fixed_dictionaries(
    {
        "request_id": st.sampled_from([None, "r1", "r2"]),
        "response_id": st.sampled_from([None, "a1", "a2"]),
        "event_shape": st.sampled_from(["policy", "reference", "llm_log"]),
        "status": st.sampled_from(["metered", "unmetered", "pending"]),
        "subscription": st.sampled_from([None, "s1", "s2"]),
        "input_tokens": st.sampled_from([None, 1, 2]),
        "event_at": st.sampled_from(
            [ENQUEUED_AT, ENQUEUED_AT + timedelta(minutes=50), ENQUEUED_AT + timedelta(minutes=70)]
        ),
    }
)


@settings(max_examples=200)
@given(st.lists(_row, min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_the_order_of_records_has_no_say_and_none_is_lost(rows: list[dict[str, Any]], random: Any) -> None:
    whole = silver(*rows)
    merged = one_row_per_call(whole)
    assert int(merged[DUPLICATES].sum()) + len(merged) == len(whole)
    order = list(range(len(whole)))
    random.shuffle(order)
    key = "sequence_number"
    assert one_row_per_call(whole[order]).sort(key).equals(merged.sort(key))
    gold = aggregate(merged)
    assert int(gold.select(pl.col("request_count", "duplicate_count").sum()).sum_horizontal().item()) == len(
        whole
    )
    assert set(USAGE_EVENTS.schema) < set(merged.columns)
