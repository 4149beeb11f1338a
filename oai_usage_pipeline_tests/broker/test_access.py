"""With a key, only who holds it gets in, for as long as the token says."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub._client_base import EventHubSASTokenCredential
from azure.eventhub._pyamqp.utils import generate_sas_token
from azure.eventhub.exceptions import AuthenticationError, ConnectError

from oai_usage_pipeline.broker.errors import LinkFailed
from oai_usage_pipeline.broker.tokens import SAS_TYPE, Access, Refusal, SasKey
from oai_usage_pipeline_tests.broker.raw_client import RawClient
from oai_usage_pipeline_tests.running_broker import RunningBroker, producer, receive, send

KEY = SasKey("owner", "b25seSBmb3IgdGVzdHM=")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    data = tmp_path_factory.mktemp("guarded")
    with RunningBroker(data, hubs=["hub", "other"], options=["--sas-key", "=".join(KEY)]) as running:
        yield running


def token(key: SasKey = KEY, resource: str = "sb://127.0.0.1/hub", expires_in: int = 60) -> str:
    """A token as the SDK makes it."""
    sign: Any = generate_sas_token
    return str(sign(resource, key.name, key.key, int(time.time()) + expires_in))


def test_who_holds_the_key_sends_and_receives(guarded: RunningBroker) -> None:
    send(guarded, ["let in"], partition_id="0")
    assert [event.body_as_str() for event in receive(guarded, 1)] == ["let in"]


@pytest.mark.parametrize(("right", "wrong"), [(KEY.key, "d3Jvbmc="), ("=owner;", "=stranger;")])
def test_a_wrong_key_or_policy_is_refused(guarded: RunningBroker, right: str, wrong: str) -> None:
    client = EventHubProducerClient.from_connection_string(
        guarded.connection_string.replace(right, wrong), eventhub_name="hub", retry_total=0
    )
    with client, pytest.raises(AuthenticationError):
        client.get_eventhub_properties()


def test_a_token_opens_its_own_hub_only(guarded: RunningBroker) -> None:
    credential: Any = EventHubSASTokenCredential(token(), int(time.time()) + 60)
    for hub, opens in (("hub", True), ("other", False)):
        client = EventHubProducerClient(
            f"127.0.0.1:{guarded.port}", hub, credential, use_tls=False, retry_total=0
        )
        with client:
            if opens:
                client.send_event(EventData("let in"), partition_id="1")
            else:
                with pytest.raises(ConnectError):
                    client.send_event(EventData("kept out"), partition_id="1")


def test_a_client_that_brings_no_token_gets_no_link(guarded: RunningBroker) -> None:
    with RawClient(guarded.port) as client:
        answer: Any = client.begun().attach_publisher("hub")
        assert answer.target is None
        detach: Any = client.read()
        assert detach.error.value[0] == "amqp:unauthorized-access"


def test_an_expired_token_is_refused() -> None:
    access = Access(KEY)
    with pytest.raises(Refusal, match="expired"):
        access.grant(token(expires_in=-5), SAS_TYPE)


def test_a_link_is_detached_when_its_token_expires(guarded: RunningBroker) -> None:
    # The client takes the token for a longer one, and so doesn't bring another.
    credential: Any = EventHubSASTokenCredential(token(expires_in=2), int(time.time()) + 3600)
    client = EventHubConsumerClient(
        f"127.0.0.1:{guarded.port}", "hub", "$Default", credential, use_tls=False, retry_total=0
    )
    errors: list[Exception] = []

    def on_error(_: object, error: Exception) -> None:
        errors.append(error)
        client.close()

    client.receive_batch(lambda *_: None, partition_id="2", on_error=on_error, starting_position="-1")
    assert "amqp:unauthorized-access" in str(errors[0])
    assert "ExpiredToken" in str(errors[0])


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "nonsense",
        "SharedAccessSignature sr=x",
        "SharedAccessSignature sr=x&sig=y&se=z&skn=owner",
        token().replace("sig=", "sig=A"),
        token().replace("hub", "other"),
        token().replace("&se=", "&se=9"),
        token().replace("&se=", "&se=1e"),
    ],
)
def test_a_token_that_was_not_signed_with_the_key_is_refused(wrong: str) -> None:
    with pytest.raises(Refusal):
        Access(KEY).grant(wrong, SAS_TYPE)


def test_a_token_for_the_namespace_opens_every_hub_and_another_type_none() -> None:
    access = Access(KEY)
    with pytest.raises(Refusal):
        access.grant("header.payload.signature", "jwt")
    with pytest.raises(LinkFailed):
        access.check("hub")
    access.grant(token(resource="sb://127.0.0.1"), SAS_TYPE)
    access.check("hub")
    access.check("other/Partitions/0")


def test_no_refusal_shows_a_token_or_a_key(guarded: RunningBroker) -> None:
    secret = "SharedAccessSignature sr=x&sig=canary&se=1&skn=owner"
    with pytest.raises(Refusal) as refusal:
        Access(KEY).grant(secret, SAS_TYPE)
    assert "canary" not in str(refusal.value)
    with producer(guarded, "no-such-hub", retry_total=0) as client, pytest.raises(ConnectError) as error:
        client.get_eventhub_properties()
    assert KEY.key not in str(error.value)
