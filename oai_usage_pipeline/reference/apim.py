"""The subscriptions that an API Management service knows, asked of Azure's management API. Never their keys.

Belongs here: that one list, page by page, and what its errors mean. What becomes of them does not.
The API: https://learn.microsoft.com/rest/api/apimanagement/subscription/list
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, urlsplit

import requests
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from oai_usage_pipeline.errors import ConfigurationError, PipelineError

ENDPOINT = "https://management.azure.com"
API_VERSION = "2022-08-01"
ROLE = "API Management Service Reader Role"
"""Azure's built-in role that may list subscriptions and not their keys."""

MOST_PAGES = 10_000
ATTEMPTS = 4
LONGEST_PAUSE = 60.0
_TIMEOUTS = (10.0, 60.0)
_LATER = {429, 500, 502, 503, 504}


class ManagementUnavailable(PipelineError):
    """Azure's management API can't be reached, refuses us, or answers with what is no list."""


@dataclass(frozen=True)
class Service:
    """An API Management service by the names that its resource id is made of."""

    azure_subscription_id: str
    resource_group: str
    name: str

    @property
    def path(self) -> str:
        """The path of its subscriptions; the names can't break out of their segment."""
        subscription, group, name = (
            quote(part, safe="") for part in (self.azure_subscription_id, self.resource_group, self.name)
        )
        return (
            f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ApiManagement/service/"
            f"{name}/subscriptions"
        )


class _Bearer(requests.auth.AuthBase):
    """The token as authentication of the session: as a mere header, a .netrc file would replace it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Properties(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    displayName: str | None = None  # noqa: N815 - Azure's own name
    ownerId: str | None = None  # noqa: N815 - Azure's own name
    state: str | None = None


class _Item(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    name: Annotated[str, StringConstraints(min_length=1)]
    properties: _Properties


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    value: list[_Item]
    nextLink: str | None = None  # noqa: N815 - Azure's own name


@dataclass(frozen=True)
class ApimSubscription:
    """One subscription: its id as the gateway logs it, its name, its owner's user id, and its state."""

    id: str
    name: str | None
    owner: str | None
    state: str | None


def entra_token(endpoint: str = ENDPOINT) -> str:
    """A token for the management API, from what `DefaultAzureCredential` finds: az login, an identity, ..."""
    _refuse_open(endpoint)
    # Imported on use: the sign-in library is slow to load.
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import DefaultAzureCredential

    try:
        with DefaultAzureCredential() as credential:
            return credential.get_token(f"{endpoint.rstrip('/')}/.default").token
    except ClientAuthenticationError:
        # The library's own text is long, and may quote what it was answered.
        raise ManagementUnavailable(
            "Entra ID gave no token for Azure's management API: sign in with `az login`, or run where a "
            f"managed identity with the role '{ROLE}' is"
        ) from None


def list_subscriptions(
    service: Service,
    token: str,
    endpoint: str = ENDPOINT,
    pause: Callable[[float], object] = time.sleep,
) -> Iterator[ApimSubscription]:
    """Every subscription of the service, of whatever state, in the API's order.

    Waits and asks again when it is told to (429) or the API fails (5xx), a few times. Raises
    ConfigurationError when the service isn't there or we may not ask, else ManagementUnavailable.
    """
    _refuse_open(endpoint)
    endpoint = endpoint.rstrip("/")
    url: str | None = f"{endpoint}{service.path}?api-version={API_VERSION}"
    with requests.Session() as session:
        session.auth = _Bearer(token)
        seen: set[str] = set()
        while url is not None:
            if url in seen or len(seen) >= MOST_PAGES:
                raise ManagementUnavailable(
                    f"Azure's management API leads in a circle after {len(seen)} pages: try again later"
                )
            seen.add(url)
            page = _page(_answer(session, url, service, pause))
            yield from (_subscription(item) for item in page.value)
            url = _same_host(page.nextLink, endpoint) if page.nextLink else None


def _answer(
    session: requests.Session, url: str, service: Service, pause: Callable[[float], object]
) -> requests.Response:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            # A redirect could carry the token elsewhere.
            answer = session.get(url, timeout=_TIMEOUTS, allow_redirects=False)
        except requests.RequestException as error:
            raise ManagementUnavailable(
                f"Azure's management API can't be reached ({type(error).__name__}): check the network"
            ) from None
        if answer.status_code == requests.codes.ok:
            return answer
        if answer.status_code not in _LATER or attempt == ATTEMPTS:
            break
        pause(_pause(answer, attempt))
    raise _refusal(answer.status_code, service)


def _pause(answer: requests.Response, attempt: int) -> float:
    """Seconds: as the answer asks for, else doubling; bounded."""
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked) if asked.isdecimal() else 2.0**attempt, LONGEST_PAUSE)


def _refusal(status: int, service: Service) -> PipelineError:
    """What a status means to a person; never the answer's own text, which is anyone's."""
    if status == requests.codes.unauthorized:
        return ConfigurationError(
            "Azure's management API refused the token (401): sign in anew with `az login`, to the tenant of "
            f"the subscription {service.azure_subscription_id}"
        )
    if status == requests.codes.forbidden:
        return ConfigurationError(
            f"You may not list the subscriptions of {service.name} (403): the role '{ROLE}' on it is enough"
        )
    if status == requests.codes.not_found:
        return ConfigurationError(
            f"There is no API Management service {service.name} in resource group {service.resource_group} "
            f"of the Azure subscription {service.azure_subscription_id} (404): check the three names"
        )
    return ManagementUnavailable(
        f"Azure's management API answered {status} for {service.name}: try again later"
        if status in _LATER
        else f"Azure's management API answered {status} for {service.name}, expected 200: check the names"
    )


def _page(answer: requests.Response) -> _Page:
    try:
        return _Page.model_validate_json(answer.content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise ManagementUnavailable(
            f"Azure's management API answered with what is no list of subscriptions ({where}: "
            f"{first['msg'].lower()}): is a proxy in between?"
        ) from None


def _refuse_open(endpoint: str) -> None:
    """A token goes over TLS, or nowhere but this machine."""
    parts = urlsplit(endpoint)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise ConfigurationError(f"{endpoint!r} is no https:// address: the token must not go there in clear")


def _same_host(link: str, endpoint: str) -> str:
    """The link, if it leads to where the token belongs."""
    there, here = urlsplit(link), urlsplit(endpoint)
    if (there.scheme, there.netloc) != (here.scheme, here.netloc):
        raise ManagementUnavailable(
            f"Azure's management API leads to another host for its next page than {here.netloc}, where the "
            "token must not go"
        )
    return link


def _subscription(item: _Item) -> ApimSubscription:
    properties = item.properties
    owner = properties.ownerId.rstrip("/").rpartition("/")[2] if properties.ownerId else None
    return ApimSubscription(item.name, properties.displayName or None, owner or None, properties.state)
