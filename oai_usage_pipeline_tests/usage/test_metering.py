"""Plain bodies: statuses, reasons and counts, for good answers and for every class of bad ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.tables import STATUSES, TOKEN_COLUMNS
from oai_usage_pipeline.usage.metering import LONGEST_NAME, UsageRecord, meter, meter_cut
from oai_usage_pipeline_tests.usage.bodies import DONE, REQUEST, USAGE, chat, chunk


def tokens(record: UsageRecord) -> tuple[int | None, ...]:
    return (*record[12:16], record.reasoning_output_tokens)


def test_a_chat_completion_is_metered_with_every_column() -> None:
    details = (
        '{"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, '
        '"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}'
    )
    assert meter(REQUEST, chat(details)) == UsageRecord(
        user_id="u-1",
        operation="chat.completions",
        object="chat.completion",
        model="gpt-4o-2024-08-06",
        request_model="my-deployment",
        is_stream=False,
        is_retrieval=False,
        response_id="chatcmpl-1",
        tool_call_count=0,
        is_content_filtered=False,
        input_tokens=10,
        output_tokens=5,
        total_tokens=15,
        cached_input_tokens=4,
        reasoning_output_tokens=2,
        status="metered",
        reason=None,
    )


ALL_PARTS = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {
        "cached_tokens": 1,
        "text_tokens": 2,
        "audio_tokens": 3,
        "image_tokens": 4,
        "cache_write_tokens": 9,
    },
    "completion_tokens_details": {
        "reasoning_tokens": 5,
        "text_tokens": 6,
        "audio_tokens": 7,
        "image_tokens": 8,
        "accepted_prediction_tokens": 9,
        "rejected_prediction_tokens": 10,
    },
}


def test_every_part_has_a_column_of_its_own() -> None:
    record = meter(REQUEST, chat(json.dumps(ALL_PARTS)))
    counts = tuple(getattr(record, name) for name in TOKEN_COLUMNS)
    assert (record.status, record.reason) == ("metered", None)
    assert counts == (100, 50, 150, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)


@pytest.mark.parametrize("whole", ["input", "output"])
@pytest.mark.parametrize("suffix", ["tokens_details", "token_details"])
def test_parts_are_found_under_every_name(whole: str, suffix: str) -> None:
    usage = {f"{whole}_tokens": 9, f"{whole}_{suffix}": {"audio_tokens": 4}}
    record = meter(REQUEST, chat(json.dumps(usage)))
    assert getattr(record, f"audio_{whole}_tokens") == 4


RESPONSE = (
    '{"id": "resp_1", "object": "response", "status": "%s", "model": "gpt-5", "output": [], '
    '"error": %s, "usage": %s}'
)
EMBEDDINGS = (
    '{"object": "list", "data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}'
)
RUN = (
    '{"object": "thread.run", "status": "completed", "usage": {"prompt_tokens": 2, "completion_tokens": 1, '
    '"total_tokens": 3, "prompt_token_details": {"cached_tokens": 2}}}'
)
FORM = (
    '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    '--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n'
    "Content-Type: audio/mpeg\r\n\r\nx\r\n--b--"
)
RESPONSES_USAGE = (
    '{"input_tokens": 7, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 3, '
    '"output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 10}'
)
AUDIO_USAGE = (
    '{"type": "tokens", "input_tokens": 14, "input_token_details": {"audio_tokens": 14, "cached_tokens": 3}, '
    '"output_tokens": 45, "total_tokens": 59}'
)
METERED = {
    "embeddings": (
        EMBEDDINGS,
        "embeddings",
        (8, None, 8, None, None),
    ),
    "completions": (
        '{"object": "text_completion", "choices": [{"text": "x"}], "usage": ' + USAGE + "}",
        "completions",
        (10, 5, 15, None, None),
    ),
    "Responses": (RESPONSE % ("completed", "null", RESPONSES_USAGE), "responses", (7, 3, 10, 1, 2)),
    "incomplete Responses": (
        RESPONSE % ("incomplete", "null", RESPONSES_USAGE),
        "responses",
        (7, 3, 10, 1, 2),
    ),
    "compaction": (
        '{"object": "response.compaction", "output": [], "usage": ' + RESPONSES_USAGE + "}",
        "responses.compact",
        (7, 3, 10, 1, 2),
    ),
    "images with tokens": (
        (
            '{"created": 1, "data": [{"b64_json": "x"}], "usage": '
            '{"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}}'
        ),
        "images",
        (1, 2, 3, None, None),
    ),
    "audio with tokens": (
        '{"text": "x", "usage": ' + AUDIO_USAGE + "}",
        "audio.transcriptions",
        (14, 45, 59, 3, None),
    ),
    "an assistant's run": (
        RUN,
        "assistants",
        (2, 1, 3, 2, None),
    ),
    "no object": (chat().replace('"chat.completion"', '""'), "chat.completions", (10, 5, 15, None, None)),
    "only a total": (chat('{"total_tokens": 7}'), "chat.completions", (None, None, 7, None, None)),
    "a zero beside a count": (
        chat('{"prompt_tokens": 10, "completion_tokens": 0}'),
        "chat.completions",
        (10, 0, None, None, None),
    ),
    "zeros of what may cost nothing": (
        RUN.replace("2", "0").replace("1", "0").replace("3", "0"),
        "assistants",
        (0, 0, 0, 0, None),
    ),
    "null details": (
        chat('{"prompt_tokens": 1, "prompt_tokens_details": null}'),
        "chat.completions",
        (1, None, None, None, None),
    ),
    "a mark before it": ("\ufeff\r\n " + chat(), "chat.completions", (10, 5, 15, None, None)),
    "made text twice": (json.dumps(chat()), "chat.completions", (10, 5, 15, None, None)),
    "a lone surrogate in the answer": (
        chat(before='"x": "\\ud83d", '),
        "chat.completions",
        (10, 5, 15, None, None),
    ),
    "an id of another type": (
        chat().replace('"chatcmpl-1"', "5"),
        "chat.completions",
        (10, 5, 15, None, None),
    ),
    "a usage elsewhere": (
        chat(before='"tools": [{"usage": {"usage": 1}}], '),
        "chat.completions",
        (10, 5, 15, None, None),
    ),
    "NaN elsewhere": (chat(before='"logprob": NaN, '), "chat.completions", (10, 5, 15, None, None)),
}


@pytest.mark.parametrize(("response", "operation", "counts"), METERED.values(), ids=METERED)
def test_reported_counts_are_metered(response: str, operation: str, counts: tuple[int | None, ...]) -> None:
    record = meter(REQUEST, response)
    assert (record.status, record.reason, record.operation, tokens(record)) == (
        "metered",
        None,
        operation,
        counts,
    )


# Bad input, class "Counts": what is no plain whole number is refused, what contradicts is flagged.
REFUSED_COUNTS = {
    "negative": ("-1", "tokens_negative"),
    "text": ('"12"', "tokens_not_integer"),
    "12.0": ("12.0", "tokens_not_integer"),
    "12.5": ("12.5", "tokens_not_integer"),
    "1e2": ("1e2", "tokens_not_integer"),
    "1e400": ("1e400", "tokens_not_integer"),
    "NaN": ("NaN", "tokens_not_integer"),
    "true": ("true", "tokens_not_integer"),
    "an array": ("[1]", "tokens_not_integer"),
    "2^63": (str(2**63), "tokens_too_large"),
    "30 digits": ("1" * 30, "tokens_too_large"),
}


@pytest.mark.parametrize(("count", "reason"), REFUSED_COUNTS.values(), ids=REFUSED_COUNTS)
@pytest.mark.parametrize(
    "usage",
    [
        '{"prompt_tokens": %s, "completion_tokens": 5}',
        '{"input_tokens": 1, "output_tokens": %s}',
        '{"prompt_tokens": 1, "total_tokens": %s}',
        '{"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": %s}}',
        '{"output_tokens": 1, "output_tokens_details": {"reasoning_tokens": %s}}',
        '{"prompt_tokens": 1, "prompt_tokens_details": {"audio_tokens": %s}}',
        '{"input_tokens": 1, "input_token_details": {"image_tokens": %s}}',
        '{"completion_tokens": 1, "completion_tokens_details": {"rejected_prediction_tokens": %s}}',
    ],
)
def test_a_count_that_is_no_plain_number_is_refused_never_coerced(
    usage: str, count: str, reason: str
) -> None:
    record = meter(REQUEST, chat(usage % count))
    assert (record.status, record.reason, tokens(record)) == ("rejected", reason, (None,) * 5)
    assert (record.operation, record.model) == ("chat.completions", "gpt-4o-2024-08-06")


DOUBLED = {
    "a count": '{"prompt_tokens": 1, "prompt_tokens": 10, "completion_tokens": 5}',
    "a count with the same value": '{"prompt_tokens": 1, "prompt_tokens": 1}',
    "details": '{"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 1}, '
    '"prompt_tokens_details": {"cached_tokens": 1}}',
    "a part": '{"completion_tokens": 9, "completion_tokens_details": {"audio_tokens": 1, "audio_tokens": 1}}',
    "a detail": '{"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 1, "cached_tokens": 2}}',
    "usage": USAGE + ', "usage": ' + USAGE,
    "usage and null": USAGE + ', "usage": null',
}


@pytest.mark.parametrize("usage", DOUBLED.values(), ids=DOUBLED)
def test_a_money_field_that_stands_twice_is_refused(usage: str) -> None:
    record = meter(REQUEST, chat(usage))
    assert (record.status, record.reason, tokens(record)) == ("rejected", "tokens_doubled", (None,) * 5)


CONTRADICTIONS = {
    '{"prompt_tokens": 10, "completion_tokens": 15, "total_tokens": 30}': "total_tokens 30 != 10 + 15",
    '{"prompt_tokens": 10, "total_tokens": 30}': "total_tokens 30 != 10 + null",
    '{"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 11}}': (
        "cached_input_tokens 11 > input_tokens 10"
    ),
    '{"completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 2}}': (
        "reasoning_output_tokens 2 > output_tokens 1"
    ),
    '{"total_tokens": 3, "completion_tokens": 5}': "total_tokens 3 != null + 5",
    '{"total_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}': (
        "cached_input_tokens 4 without input_tokens"
    ),
    '{"prompt_tokens": 10, "prompt_tokens_details": {"audio_tokens": 11}}': (
        "audio_input_tokens 11 > input_tokens 10"
    ),
    '{"input_tokens": 10, "input_tokens_details": {"text_tokens": 6, "image_tokens": 5}}': (
        "text, audio and image tokens 6 + 5 > input_tokens 10"
    ),
    '{"completion_tokens": 4, "completion_tokens_details": {"rejected_prediction_tokens": 5}}': (
        "rejected_prediction_tokens 5 > output_tokens 4"
    ),
    '{"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, '
    '"completion_tokens_details": {"accepted_prediction_tokens": 5}}': (
        "accepted_prediction_tokens 5 > output_tokens 4"
    ),
    '{"prompt_tokens": 10000000000}': "tokens_implausible",
    '{"prompt_tokens": 10000000000, "total_tokens": 10000000000}': "tokens_implausible",
}


@pytest.mark.parametrize(("usage", "reason"), CONTRADICTIONS.items(), ids=CONTRADICTIONS.values())
def test_a_contradiction_is_named_with_both_numbers_and_kept_as_reported(usage: str, reason: str) -> None:
    record = meter(REQUEST, chat(usage))
    assert (record.status, record.reason) == ("metered", reason)
    assert max(count or 0 for count in tokens(record)) > 0


def test_parts_of_nothing_that_are_nothing_contradict_nothing() -> None:
    record = meter(REQUEST, chat('{"total_tokens": 9, "prompt_tokens_details": {"cached_tokens": 0}}'))
    assert (record.status, record.reason, record.cached_input_tokens) == ("metered", None, 0)


# Bad input, classes "Bodies" and "JSON": each has its status and a reason that names it.
WITHOUT_TOKENS = {
    "no usage": (chat(None), "unmetered", "usage_missing"),
    "usage null": (chat("null"), "unmetered", "usage_missing"),
    "usage empty": (chat("{}"), "unmetered", "usage_without_tokens"),
    "usage of nulls": (chat('{"prompt_tokens": null}'), "unmetered", "usage_without_tokens"),
    "usage a number": (chat("5"), "rejected", "usage_not_object"),
    "usage an array": (chat("[]"), "rejected", "usage_not_object"),
    "details an array": (
        chat('{"prompt_tokens": 1, "prompt_tokens_details": []}'),
        "rejected",
        "usage_not_object",
    ),
    "queued": (RESPONSE % ("queued", "null", "null"), "pending", "queued"),
    "in progress": (RESPONSE % ("in_progress", "null", "null"), "pending", "in_progress"),
    "failed Responses": (RESPONSE % ("failed", '{"code": "server_error"}', "null"), "failed", "server_error"),
    "failed without an error": (RESPONSE % ("failed", "null", "null"), "failed", "response_failed"),
    "cancelled": (RESPONSE % ("cancelled", "null", "null"), "failed", "response_cancelled"),
    "blocked prompt": ('{"error": {"code": "content_filter", "message": "x"}}', "failed", "content_filter"),
    "error with a type only": (
        '{"error": {"code": null, "type": "invalid_request_error"}}',
        "failed",
        "invalid_request_error",
    ),
    "error code of foreign text": ('{"error": {"code": "<b>`; drop"}}', "failed", "error"),
    "error a text": ('{"error": "boom"}', "failed", "error"),
    "error of the gateway": ('{"statusCode": 429, "message": "Rate limit is exceeded."}', "failed", "429"),
    "images": ('{"created": 1, "data": [{"url": "x"}]}', "unit_billed", None),
    "audio": ('{"text": "x"}', "unit_billed", "units_missing"),
    "seconds": ('{"text": "x", "usage": {"type": "duration", "seconds": 27}}', "unit_billed", None),
    "moderation": (
        '{"id": "modr-1", "model": "m", "results": [{"flagged": false}]}',
        "unmetered",
        "no_usage_expected",
    ),
    "batch": (
        '{"id": "batch_1", "object": "batch", "status": "completed"}',
        "unmetered",
        "no_usage_expected",
    ),
    "batch in progress": (
        '{"id": "batch_1", "object": "batch", "status": "validating"}',
        "pending",
        "validating",
    ),
    "assistant": ('{"id": "asst_1", "object": "assistant"}', "unmetered", "no_usage_expected"),
    "an empty list": ('{"object": "list", "data": []}', "unmetered", "no_usage_expected"),
    "an unknown object": ('{"object": "novelty"}', "unmetered", "usage_missing"),
    "null": (None, "rejected", "response_missing"),
    "empty": ("", "rejected", "response_empty"),
    "white space": (" \r\n", "rejected", "response_empty"),
    "JSON null": ("null", "rejected", "response_not_object"),
    "a number": ("12", "rejected", "response_not_object"),
    "an array": ("[]", "rejected", "response_not_object"),
    "an empty object": ("{}", "rejected", "response_unrecognised"),
    "some object": ('{"foo": 1}', "rejected", "response_unrecognised"),
    "plain text": ("hello", "rejected", "response_not_json"),
    "a page": ("<html></html>", "rejected", "response_not_json"),
    "made text thrice": (json.dumps(json.dumps(chat())), "rejected", "response_not_object"),
    "trailing garbage": (chat() + "x", "rejected", "response_not_json"),
    "two objects": (chat() + chat(), "rejected", "response_not_json"),
    "cut": (chat()[:-20], "unmetered", "truncated"),
    "cut in a count": (chat()[:-3], "unmetered", "truncated"),
    "cut at once": ('{"id', "unmetered", "truncated"),
    "nesting 300": (chat(before='"x": ' + "[" * 300 + "]" * 300 + ", "), "rejected", "response_too_deep"),
    "nesting 1,100": (
        chat(before='"x": ' + "[" * 1_100 + "]" * 1_100 + ", "),
        "rejected",
        "response_too_deep",
    ),
    "usage a number of 30 digits": (chat("1" * 30), "rejected", "usage_not_object"),
    "an error with status 200": ('{"error": {"code": "server_error"}, "id": "x"}', "failed", "server_error"),
    "an error beside choices": (
        chat(None, before='"error": {"code": "server_error"}, '),
        "failed",
        "server_error",
    ),
    "a form": (FORM, "rejected", "response_not_json"),
    "the bytes of a picture": ("\ufffdPNG\r\n\x1a\n\x00\x00", "rejected", "response_not_json"),
    "the bytes of a sound": ("ID3\x04\x00\ufffd", "rejected", "response_not_json"),
    "control characters": ("\x00\x01", "rejected", "response_not_json"),
    "Infinity": ('{"foo": Infinity}', "rejected", "response_unrecognised"),
    "1e400": ('{"foo": 1e400}', "rejected", "response_unrecognised"),
    "nesting 100,000": (chat(before='"x": ' + "[" * 100_000), "rejected", "response_too_deep"),
    "5,000 digits": (
        chat('{"prompt_tokens": ' + "1" * 5_000 + "}"),
        "rejected",
        "response_number_out_of_range",
    ),
    "10,000 keys": (json.dumps({f"k{n}": n for n in range(10_000)}), "rejected", "response_unrecognised"),
    "a huge array": ("{" + f'"a": [{"1," * 500_000}1]' + "}", "rejected", "response_unrecognised"),
}


@pytest.mark.parametrize(("response", "status", "reason"), WITHOUT_TOKENS.values(), ids=WITHOUT_TOKENS)
def test_an_answer_without_counts_has_an_honest_status(
    response: str | None, status: str, reason: str | None
) -> None:
    record = meter(REQUEST, response)
    assert (record.status, record.reason, tokens(record)) == (status, reason, (None,) * 5)
    assert record.operation is not None
    assert record.user_id == "u-1"


ZERO = '{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "prompt_tokens_details": '
ZERO += '{"cached_tokens": 0, "audio_tokens": null}}'
ZEROS = {
    "chat": chat(ZERO),
    "one zero": chat('{"prompt_tokens": 0}'),
    "completions": '{"object": "text_completion", "choices": [{"text": "Hello"}], "usage": ' + ZERO + "}",
    "Responses": RESPONSE
    % ("completed", "null", '{"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}'),
    "embeddings": EMBEDDINGS.replace("8", "0"),
    "a stream": chunk() + chunk(ZERO, choices="[]") + DONE,
}


@pytest.mark.parametrize("response", ZEROS.values(), ids=ZEROS)
def test_a_usage_of_nothing_but_zeros_is_no_measurement(response: str) -> None:
    texts = {"messages": [{"content": "Hello world"}], "input": "Hello world", "prompt": "Hello world"}
    record = meter(json.dumps(texts), response)
    assert (record.status, record.reason, tokens(record)) == ("unmetered", "usage_of_zero", (None,) * 5)
    assert record.estimated_input_tokens


def test_zeros_of_a_failure_are_a_failure() -> None:
    failed = RESPONSE % ("failed", '{"code": "server_error"}', '{"input_tokens": 0, "output_tokens": 0}')
    record = meter(REQUEST, failed)
    assert (record.status, record.reason, record.total_tokens) == ("failed", "server_error", None)


def test_a_failed_response_with_usage_is_metered_and_says_so() -> None:
    record = meter(REQUEST, RESPONSE % ("failed", '{"code": "server_error"}', RESPONSES_USAGE))
    assert (record.status, record.reason, record.total_tokens) == ("metered", "server_error", 10)


def test_a_retrieval_repeats_usage_and_says_so() -> None:
    record = meter("", RESPONSE % ("completed", "null", RESPONSES_USAGE))
    assert (record.status, record.reason) == ("metered", "retrieved")


def test_sound_and_subtitles_are_billed_by_unit() -> None:
    asked = '{"model": "tts", "input": "Hi", "voice": "alloy"}'
    record = meter(asked, "ID3\ufffd\ufffd")
    assert (record.status, record.reason) == ("unit_billed", None)
    record = meter(FORM, "1\n00:00:00,000 --> 00:00:01,000\nHello")
    assert (record.status, record.operation, record.model) == (
        "unit_billed",
        "audio.transcriptions",
        "whisper-1",
    )


ASKED = {
    "chat.completions": '{"messages": []}',
    "completions": '{"prompt": "x"}',
    "images": '{"prompt": "x", "size": "1024x1024"}',
    "responses": '{"input": "x", "model": "gpt-5"}',
    "embeddings": '{"input": "x", "model": "text-embedding-3-small"}',
    "moderations": '{"input": "x", "model": "omni-moderation-latest"}',
    "audio.speech": '{"input": "x", "voice": "alloy"}',
}


@pytest.mark.parametrize(("operation", "request_text"), ASKED.items(), ids=ASKED)
def test_a_failure_gets_its_operation_from_the_request(operation: str, request_text: str) -> None:
    assert meter(request_text, '{"error": {"code": "x"}}').operation == operation


@pytest.mark.parametrize(
    ("stream", "is_stream"),
    [("true", True), ("false", False), ('"true"', False), ("1", False), ("null", False)],
)
def test_a_failure_is_a_stream_when_one_was_asked_for(stream: str, is_stream: bool) -> None:
    record = meter(f'{{"stream": {stream}}}', '{"error": {"code": "x"}}')
    assert record.is_stream is is_stream


def test_the_model_asked_for_stands_in_for_one_not_answered() -> None:
    assert meter(REQUEST, '{"error": {"code": "x"}}').model == "my-deployment"
    assert meter(REQUEST, chat().replace('"gpt-4o-2024-08-06"', '""')).model == "my-deployment"


@pytest.mark.parametrize(
    ("request_text", "user"),
    [
        ('{"user": "a", "safety_identifier": "b"}', "a"),
        ('{"safety_identifier": "b"}', "b"),
        ('{"user": "", "safety_identifier": "b"}', "b"),
        ('{"user": 5, "safety_identifier": "b"}', "b"),
        ('{"user": null}', None),
        ('{"messages": [{"user": "no"}]}', None),
        ("not JSON", None),
        (None, None),
    ],
)
def test_the_user_is_who_the_request_names(request_text: str | None, user: str | None) -> None:
    assert meter(request_text, chat()).user_id == user


# Bad input, class "Names".
NAMES = [
    "<script>",
    "=1+1",
    "'; DROP",
    "../..",
    "{}%s",
    "NA",
    "null",
    "\x1b[31m\r\n",
    "\u0430zure",
    "\u202ex",
    "\u200b",
    "a:b=c",
]


@pytest.mark.parametrize("name", NAMES)
def test_foreign_names_are_kept_verbatim(name: str) -> None:
    body = json.loads(chat()) | {"model": name, "id": name}
    record = meter(json.dumps({"user": name}), json.dumps(body))
    assert (record.model, record.response_id, record.user_id) == (name, name, name)


def test_long_names_are_cut_and_show_it() -> None:
    model = meter(None, json.dumps(json.loads(chat()) | {"model": "m" * 300})).model
    assert model == "m" * (LONGEST_NAME - 1) + "…"


def test_a_hostile_form_takes_no_more_than_its_length() -> None:
    # Were its lines tried in every way, this would run into the suite's time limit.
    assert meter("--" + 'name="model"\n' * 50_000, chat()).status == "metered"


def test_no_record_holds_a_prompt_or_an_answer() -> None:
    record = meter(REQUEST.replace('"Hi"', '"SECRET-PROMPT"'), chat().replace("Hello", "SECRET-ANSWER"))
    assert "SECRET" not in repr(record)


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_texts_raise(request_text: str, response: str) -> None:
    record = meter(request_text, response)
    assert record.status in STATUSES
    assert record.status == "metered" or record.reason or record.status == "unit_billed"


@given(st.integers(min_value=0, max_value=len(chat()) - 1), st.characters(codec="utf-8"))
def test_a_damaged_body_never_raises_nor_changes_a_count_in_silence(at: int, character: str) -> None:
    whole = chat()
    record = meter(REQUEST, whole[:at] + character + whole[at + 1 :])
    assert record.status in STATUSES
    if record.status == "metered" and tokens(record) != (10, 5, 15, None, None):
        # One character can make another number; then the total contradicts, or a count is gone.
        assert record.reason or None in tokens(record)[:3]


_half = st.sampled_from(["\ud83d", "\udc00x"])


@given(st.integers(min_value=0, max_value=len(chat())), _half)
def test_half_a_character_anywhere_never_raises(at: int, half: str) -> None:
    for whole in (chat(), chat(None), "data: " + chat() + "\n\n", json.dumps(chat())):
        text = whole[:at] + half + whole[at:]
        assert meter(text, whole).status in STATUSES
        assert meter(REQUEST, text).status in STATUSES
        assert meter_cut(text, text).status == "unmetered"


_count = st.none() | st.integers(min_value=0, max_value=2**63 - 1)


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), _count)
    )
)
def test_counts_come_back_exactly_as_reported(usage: dict[str, int | None]) -> None:
    record = meter(REQUEST, chat(json.dumps(usage)))
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    is_told = any(usage.values())
    assert tokens(record)[:3] == tuple(usage.get(name) if is_told else None for name in names)
    assert record.status == ("metered" if is_told else "unmetered")
