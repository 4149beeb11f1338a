"""Asking API Management for its subscriptions: every page, nobody's keys, and clear errors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oai_usage_pipeline.errors import ConfigurationError, PipelineError
from oai_usage_pipeline.reference.apim import (
    ATTEMPTS,
    ApimSubscription,
    ManagementUnavailable,
    Service,
    list_subscriptions,
)
from oai_usage_pipeline_tests.reference.management_api import Answer, ManagementApi, listed, management_api

SERVICE = Service("11111111-2222-3333-4444-555555555555", "rg-ai", "gateway")
TOKEN = "token-never-shown"
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def api() -> Iterator[ManagementApi]:
    with management_api() as running:
        yield running


def listing(api: ManagementApi, pauses: list[float] | None = None) -> list[ApimSubscription]:
    seconds = [] if pauses is None else pauses
    return list(list_subscriptions(SERVICE, TOKEN, api.endpoint, pause=seconds.append))


def refusal(api: ManagementApi, kind: type[PipelineError] = ManagementUnavailable) -> str:
    with pytest.raises(kind) as raised:
        listing(api)
    assert TOKEN not in str(raised.value)
    return str(raised.value)


def test_every_page_is_read_with_the_token(api: ManagementApi) -> None:
    second = f"{api.endpoint}{SERVICE.path}?api-version=2022-08-01&$skip=2"
    api.answers = [
        listed("master", "sub-1", next_link=second),
        listed("sub-2", ownerId=None, displayName=None),
    ]
    assert listing(api) == [
        ApimSubscription("master", "Team of master", "ann", "active"),
        ApimSubscription("sub-1", "Team of sub-1", "ann", "active"),
        ApimSubscription("sub-2", None, None, "active"),
    ]
    first = (
        "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-ai/providers/"
        "Microsoft.ApiManagement/service/gateway/subscriptions?api-version=2022-08-01"
    )
    assert [path for path, _ in api.requests] == [first, second.removeprefix(api.endpoint)]
    assert api.tokens == {f"Bearer {TOKEN}"}


def test_keys_that_an_answer_holds_are_dropped(api: ManagementApi) -> None:
    api.answers = [listed("sub-1", primaryKey=KEY, secondaryKey=KEY)]
    assert KEY not in repr(listing(api))


def test_a_netrc_file_does_not_replace_the_token(
    api: ManagementApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    api.answers = [listed("sub-1")]
    listing(api)
    assert api.tokens == {f"Bearer {TOKEN}"}


def test_names_stay_in_their_place_of_the_path(api: ManagementApi) -> None:
    api.answers = [listed("sub-1")]
    list(list_subscriptions(Service("a/../b", "r g?", "x#y"), TOKEN, api.endpoint))
    assert api.requests[0][0].startswith("/subscriptions/a%2F..%2Fb/resourceGroups/r%20g%3F/providers/")
    assert api.requests[0][0].endswith("/service/x%23y/subscriptions?api-version=2022-08-01")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "refused the token \\(401\\): sign in anew with `az login`"),
        (403, "may not list the subscriptions of gateway \\(403\\): the role 'API Management Service Reader"),
        (404, "no API Management service gateway in resource group rg-ai"),
    ],
)
def test_what_the_user_can_mend_says_how(api: ManagementApi, status: int, expected: str) -> None:
    api.answers = [Answer({"error": {"code": "x", "message": KEY}}, status)]
    with pytest.raises(ConfigurationError, match=expected) as raised:
        listing(api)
    assert KEY not in str(raised.value)
    assert len(api.requests) == 1


def test_a_throttled_request_waits_as_long_as_it_is_told(api: ManagementApi) -> None:
    api.answers = [
        Answer("", 429, {"Retry-After": "7"}),
        Answer("", 429, {"Retry-After": "86400"}),
        Answer("", 503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        listed("sub-1"),
    ]
    pauses: list[float] = []
    assert len(listing(api, pauses)) == 1
    assert pauses == [7.0, 60.0, 8.0]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_api_that_keeps_failing_is_given_up(api: ManagementApi, status: int) -> None:
    api.answers = [Answer("", status)]
    assert f"answered {status} for gateway: try again later" in refusal(api)
    assert len(api.requests) == ATTEMPTS


@pytest.mark.parametrize("status", [204, 302, 400])
def test_any_other_answer_is_named(api: ManagementApi, status: int) -> None:
    api.answers = [Answer("", status, {"Location": api.endpoint + "/elsewhere"})]
    assert f"answered {status} for gateway, expected 200" in refusal(api)
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", "the body: invalid json"),
        ("<html>sign in</html>", "the body: invalid json"),
        ('{"value": [{"name": "a", "prop', "the body: invalid json"),
        ([], "the body: input should be an object"),
        ({}, "value: field required"),
        ({"value": None}, "value: input should be a valid"),
        ({"value": [{"name": KEY, "properties": KEY}]}, "value.0.properties: input should be an object"),
        ({"value": [{"name": "", "properties": {}}]}, "value.0.name"),
        ({"value": [{"properties": {}}]}, "value.0.name: field required"),
    ],
)
def test_an_answer_that_is_no_list_is_named_and_not_repeated(
    api: ManagementApi, body: object, expected: str
) -> None:
    api.answers = [Answer(body)]
    said = refusal(api)
    assert "answered with what is no list of subscriptions" in said
    assert expected in said
    assert KEY not in said


def test_the_token_goes_to_no_other_host(api: ManagementApi) -> None:
    with management_api() as elsewhere:
        elsewhere.answers = [listed("sub-2")]
        api.answers = [listed("sub-1", next_link=elsewhere.endpoint + SERVICE.path)]
        assert "leads to another host" in refusal(api)
        assert elsewhere.requests == []


def test_pages_that_lead_in_a_circle_end(api: ManagementApi) -> None:
    api.answers = [listed("sub-1", next_link=f"{api.endpoint}{SERVICE.path}?page=2")]
    assert "leads in a circle after 2 pages" in refusal(api)


def test_an_api_that_is_not_there_is_one_message() -> None:
    with management_api() as gone:
        pass
    with pytest.raises(ManagementUnavailable, match="can't be reached \\(ConnectionError\\)"):
        listing(gone)


def test_a_token_is_never_sent_in_clear() -> None:
    with pytest.raises(ConfigurationError, match="no https:// address"):
        list(list_subscriptions(SERVICE, TOKEN, "http://management.example.com"))
