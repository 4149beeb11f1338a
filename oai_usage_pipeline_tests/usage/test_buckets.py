"""Each reported token is in one bucket: nothing is priced twice, and nothing is left out."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.tables import BUCKETS, TOKEN_BUCKETS, TOKEN_COLUMNS
from oai_usage_pipeline.usage.buckets import billed
from oai_usage_pipeline_tests.usage.silver_rows import silver

INPUTS = ("input", "cached_input", "audio_input", "image_input")
OUTPUTS = ("output", "audio_output", "image_output")


def buckets_of(**row: Any) -> dict[str, int | None]:
    """The buckets of one call that hold something or are reported as nothing."""
    (found,) = silver(row).select(billed()).to_dicts()
    return {bucket: found[column] for bucket, column in BUCKETS.items() if found[column] is not None}


def test_cached_tokens_are_taken_out_of_the_input() -> None:
    assert buckets_of(input_tokens=100, cached_input_tokens=30, output_tokens=7) == {
        "input": 70,
        "cached_input": 30,
        "output": 7,
    }


def test_reasoning_and_predictions_stay_in_the_output_that_they_are_billed_as() -> None:
    found = buckets_of(
        input_tokens=1,
        output_tokens=50,
        reasoning_output_tokens=40,
        accepted_prediction_tokens=3,
        rejected_prediction_tokens=5,
    )
    assert found == {"input": 1, "output": 50}


def test_audio_and_images_are_taken_out_before_the_cache() -> None:
    found = buckets_of(
        input_tokens=100, text_input_tokens=20, audio_input_tokens=50, image_input_tokens=30, output_tokens=0
    )
    assert found == {"input": 20, "audio_input": 50, "image_input": 30, "output": 0}


@pytest.mark.parametrize(
    ("cached", "left"),
    [
        (20, {"input": 0, "image_input": 30, "audio_input": 50}),
        (45, {"input": 0, "image_input": 5, "audio_input": 50}),
        (90, {"input": 0, "image_input": 0, "audio_input": 10}),
    ],
)
def test_the_cache_takes_from_text_then_images_then_audio(cached: int, left: dict[str, int]) -> None:
    found = buckets_of(
        input_tokens=100, audio_input_tokens=50, image_input_tokens=30, cached_input_tokens=cached
    )
    assert found == left | {"cached_input": cached}


def test_a_part_beyond_its_whole_is_cut_to_it() -> None:
    assert buckets_of(input_tokens=10, cached_input_tokens=99) == {"input": 0, "cached_input": 10}
    assert buckets_of(output_tokens=10, audio_output_tokens=99) == {"output": 0, "audio_output": 10}
    kinds = {"audio_input_tokens": 6, "image_input_tokens": 6}
    assert buckets_of(input_tokens=10, **kinds) == {"input": 0, "audio_input": 6, "image_input": 4}
    kinds = {"audio_output_tokens": 6, "image_output_tokens": 6}
    assert buckets_of(output_tokens=10, **kinds) == {"output": 0, "audio_output": 6, "image_output": 4}


def test_tokens_of_which_only_a_total_is_reported_are_unsplit() -> None:
    assert buckets_of(total_tokens=15) == {"unsplit": 15}
    assert buckets_of(output_tokens=5, total_tokens=15) == {"output": 5, "unsplit": 10}
    assert buckets_of(input_tokens=15, total_tokens=15) == {"input": 15}


def test_a_total_that_the_output_makes_up_leaves_nothing_unsplit() -> None:
    assert buckets_of(output_tokens=5, total_tokens=5) == {"output": 5}
    assert buckets_of(output_tokens=5, total_tokens=4) == {"output": 5}
    assert buckets_of(output_tokens=5, total_tokens=6) == {"output": 5, "unsplit": 1}


def test_units_are_billed_only_where_no_tokens_are() -> None:
    units = {"audio_duration_ms": 1500, "image_count": 2, "character_count": 30}
    assert buckets_of(status="unit_billed", **units) == {"audio_duration": 1500, "image": 2, "character": 30}
    assert buckets_of(status="metered", input_tokens=9, **units) == {"input": 9}
    assert buckets_of(status="failed", **units) == buckets_of(status="unmetered", **units) == {}


_counts = {name: st.none() | st.integers(0, 40) | st.just(2**63 - 1) for name in TOKEN_COLUMNS}


@settings(max_examples=300)
@given(st.fixed_dictionaries(_counts))
def test_the_buckets_add_up_to_the_reported_totals_whatever_the_parts_say(counts: dict[str, int]) -> None:
    found = buckets_of(**counts)
    assert all(count >= 0 for count in found.values() if count is not None)
    assert sum(found.get(bucket) or 0 for bucket in INPUTS) == (counts["input_tokens"] or 0)
    assert sum(found.get(bucket) or 0 for bucket in OUTPUTS) == (counts["output_tokens"] or 0)
    assert ("input" in found) == (counts["input_tokens"] is not None)
    assert set(found) <= set(TOKEN_BUCKETS)
