"""Operations by the names that gateways give them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.usage.metering import meter
from oai_usage_pipeline.usage.operations import by_name

NAMES = {
    "ChatCompletions_Create": "chat.completions",
    "chat.completions": "chat.completions",
    "createChatCompletion": "chat.completions",
    "/openai/deployments/x/chat/completions?api-version=2024-10-21": "chat.completions",
    "https://embeddings.openai.azure.com/openai/deployments/image-maker/chat/completions": "chat.completions",
    "/openai/deployments/text-embedding-3-large/completions": "completions",
    "Completions_Create": "completions",
    "/openai/v1/responses": "responses",
    "/openai/v1/responses/resp_68/input_items": "responses",
    "/openai/v1/responses/compact": "responses.compact",
    "responses.compact": "responses.compact",
    "embeddings": "embeddings",
    "Embeddings_Create": "embeddings",
    "ImageGenerations_Create": "images",
    "/openai/deployments/d/images/edits": "images",
    "Transcriptions_Create": "audio.transcriptions",
    "/openai/deployments/whisper/audio/translations?api-version=1": "audio.translations",
    "/v1/audio/speech": "audio.speech",
    "/v1/moderations": "moderations",
    "/openai/threads/thread_1/runs": "assistants",
    "/openai/files/file-1/content": "files",
    "/openai/batches": "batches",
    "/openai/v1/vector_stores/vs_1/files": "vector_stores",
    "/openai/fine_tuning/jobs": "fine_tuning",
    "/openai/v1/realtime/calls": "realtime",
    "/openai/models": "models",
    "": None,
    None: None,
    "GetWeather": None,
}


@pytest.mark.parametrize(("name", "operation"), NAMES.items(), ids=map(str, NAMES))
def test_a_gateway_s_name_is_one_of_ours_or_none(name: str | None, operation: str | None) -> None:
    assert by_name(name) == operation


@given(st.text(max_size=100))
def test_no_name_raises(name: str) -> None:
    by_name(name)


def test_the_gateway_s_word_fills_in_what_the_bodies_don_t_tell() -> None:
    assert meter(None, '{"error": {"code": "x"}}', "responses").operation == "responses"
    assert meter('{"input": "x"}', '{"error": {"code": "x"}}', "responses").operation == "responses"


def test_the_body_s_own_shape_wins_over_the_gateway_s_word() -> None:
    record = meter(None, '{"object": "chat.completion", "choices": []}', "embeddings")
    assert record.operation == "chat.completions"


def test_what_a_file_holds_is_no_answer_to_account_for() -> None:
    record = meter(None, "a,b\n1,2\n", "files")
    assert (record.status, record.reason) == ("unmetered", "no_usage_expected")


def test_the_offer_of_a_realtime_call_is_recognised() -> None:
    record = meter("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n", "v=0\r\n")
    assert (record.operation, record.status, record.reason) == (
        "realtime",
        "unmetered",
        "no_usage_expected",
    )
