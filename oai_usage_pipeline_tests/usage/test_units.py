"""Seconds, images and characters: what calls without tokens are billed by."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.usage.metering import meter, meter_usage
from oai_usage_pipeline.usage.units import LONGEST_AUDIO_MS, duration_ms

FORM = (
    '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    '--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n'
    "Content-Type: audio/mpeg\r\n\r\nx\r\n--b--"
)

DURATIONS = {
    "a whole number": (27, 27_000),
    "no time at all": (0, 0),
    "a number that binary fractions miss": (8.470000267, 8_470),
    "a tenth": (0.1, 100),
    "half a millisecond, to the even one": (0.0005, 0),
    "text of a number": ("12.34", 12_340),
    "text of none": ("12 s", None),
    "another script's digits": ("١٢", None),
    "negative": (-1, None),
    "true": (True, None),
    "NaN": (float("nan"), None),
    "infinite": (float("inf"), None),
    "2^63": (2**63, None),
    "5,000 digits": (int("1" * 4_000), None),
    "nothing": (None, None),
    "a list": ([1], None),
}


@pytest.mark.parametrize(("seconds", "milliseconds"), DURATIONS.values(), ids=DURATIONS)
def test_seconds_become_milliseconds_or_nothing(seconds: object, milliseconds: int | None) -> None:
    assert duration_ms(seconds) == milliseconds


@given(st.integers(min_value=0, max_value=LONGEST_AUDIO_MS - 1))
def test_no_millisecond_is_lost_to_binary_fractions(milliseconds: int) -> None:
    text = str(Decimal(milliseconds) / 1000)
    assert duration_ms(json.loads(text)) == milliseconds


def test_verbose_transcriptions_tell_their_length() -> None:
    verbose = meter(FORM, '{"task": "transcribe", "duration": 8.47, "text": "x"}')
    assert (verbose.status, verbose.reason, verbose.audio_duration_ms) == ("unit_billed", None, 8_470)
    billed = meter(FORM, '{"duration": 8.47, "text": "x", "usage": {"type": "duration", "seconds": 9}}')
    assert (billed.status, billed.audio_duration_ms) == ("unit_billed", 9_000)


def test_a_length_that_is_not_told_is_missing_not_zero() -> None:
    for response in (
        '{"text": "x"}',
        "1\n00:00:00,000 --> 00:00:01,000\nHello",
        '{"text": "", "duration": "x"}',
    ):
        record = meter(FORM, response)
        assert (record.status, record.reason) == ("unit_billed", "units_missing")
        assert record.audio_duration_ms is None


def test_a_streamed_transcription_is_billed_by_its_seconds() -> None:
    text = (
        'data: {"type": "transcript.text.done", "text": "x", "usage": {"type": "duration", "seconds": 3}}\n\n'
    )
    record = meter(FORM, text)
    assert (record.status, record.audio_duration_ms) == ("unit_billed", 3_000)


def test_a_translation_is_one_by_its_own_word_or_the_gateway_s() -> None:
    assert meter(FORM, '{"task": "translate", "text": "x", "duration": 1}').operation == "audio.translations"
    assert meter(FORM, '{"text": "x"}', "audio.translations").operation == "audio.translations"
    assert meter(FORM, '{"text": "x"}').operation == "audio.transcriptions"


IMAGES = '{"created": 1, "data": [{"url": "a"}, {"url": "b"}]%s}'


def test_images_are_counted_with_the_look_asked_for() -> None:
    record = meter('{"prompt": "x", "size": "1024x1024", "quality": "hd", "n": 5}', IMAGES % "")
    assert (record.status, record.image_count, record.image_size, record.image_quality) == (
        "unit_billed",
        2,
        "1024x1024",
        "hd",
    )


def test_the_look_answered_wins_over_the_look_asked_for() -> None:
    record = meter('{"prompt": "x", "size": "auto"}', IMAGES % ', "size": "1536x1024", "quality": "low"')
    assert (record.image_size, record.image_quality) == ("1536x1024", "low")


@pytest.mark.parametrize("size", ["<script>", "x" * 33, "", 5, None, "a b"])
def test_a_look_of_foreign_text_is_none(size: object) -> None:
    request = json.dumps({"prompt": "x", "size": size, "quality": size})
    record = meter(request, IMAGES % "")
    assert (record.image_size, record.image_quality) == (None, None)


def test_images_with_tokens_are_metered_and_counted() -> None:
    usage = ', "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}'
    record = meter(None, IMAGES % usage)
    assert (record.status, record.total_tokens, record.image_count) == ("metered", 3, 2)


def test_streamed_images_are_those_completed() -> None:
    partial = 'data: {"type": "image_generation.partial_image", "b64_json": "x"}\n\n'
    done = 'data: {"type": "image_generation.completed", "b64_json": "x", "size": "1024x1024"}\n\n'
    record = meter(None, partial * 3 + done)
    assert (record.status, record.image_count, record.image_size) == ("unit_billed", 1, "1024x1024")


def test_speech_is_counted_in_characters() -> None:
    record = meter('{"model": "tts", "input": "Grüße 👋", "voice": "alloy"}', "ID3\ufffd")
    assert (record.status, record.reason, record.character_count) == ("unit_billed", None, 7)


def test_sound_without_its_request_is_known_by_the_gateway_s_word() -> None:
    record = meter(None, "ID3\ufffd", "audio.speech")
    assert (record.operation, record.status, record.reason) == (
        "audio.speech",
        "unit_billed",
        "units_missing",
    )
    assert meter(None, "ID3\ufffd").status == "rejected"


def test_usage_without_bodies_is_judged_as_strictly() -> None:
    good = meter_usage(
        {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 8},
        operation="chat.completions",
        request_model="d",
    )
    assert (good.status, good.reason, good.total_tokens) == ("metered", "total_tokens 8 != 3 + 4", 8)
    assert (good.model, good.request_model, good.is_retrieval) == ("d", "d", None)
    for count, reason in ((-1, "tokens_negative"), ("3", "tokens_not_integer"), (2**63, "tokens_too_large")):
        bad = meter_usage({"prompt_tokens": count}, model="m")
        assert (bad.status, bad.reason, bad.input_tokens, bad.model) == ("rejected", reason, None, "m")
    assert meter_usage({}, operation="embeddings").status == "unmetered"
    timed = meter_usage({"seconds": 2.5}, operation="audio.transcriptions")
    assert (timed.status, timed.audio_duration_ms) == ("unit_billed", 2_500)
