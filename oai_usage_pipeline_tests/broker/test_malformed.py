"""Whatever a client sends, it gets an AMQP error or a closed connection, and the broker goes on."""

import random
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oai_usage_pipeline.broker.amqp_types import Described, UInt, ULong
from oai_usage_pipeline.broker.frames import AMQP_HEADER, SASL_HEADER, frame
from oai_usage_pipeline.broker.performatives import (
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    Performative,
    Transfer,
)
from oai_usage_pipeline_tests.broker.raw_client import RawClient
from oai_usage_pipeline_tests.running_broker import RunningBroker

BODY = b"\x00\x53\x75\xa0\x02hi"


def condition(performative: Performative) -> str:
    error = getattr(performative, "error", None)
    assert isinstance(error, Described)
    assert isinstance(error.value, list)
    return str(error.value[0])


def assert_alive(broker: RunningBroker) -> None:
    with RawClient(broker.port) as client:
        client.opened()


@pytest.mark.parametrize(
    "greeting", [b"GET / HTTP/1.1\r\n\r\n", b"AMQP\x00\x00\x09\x01", b"AMQP\x02\x01\x00\x00", bytes(64)]
)
def test_another_protocol_is_answered_with_ours_and_closed(broker: RunningBroker, greeting: bytes) -> None:
    with RawClient(broker.port) as client:
        client.send(greeting)
        assert client.read_header() == SASL_HEADER
        assert client.is_closed_by_broker()
    assert_alive(broker)


@pytest.mark.parametrize(
    "wrong",
    [
        struct.pack(">IBBH", 7, 2, 0, 0),
        struct.pack(">IBBH", 0xFFFFFFFF, 2, 0, 0),
        struct.pack(">IBBH", 16, 9, 0, 0) + bytes(8),
        struct.pack(">IBBH", 16, 2, 7, 0) + bytes(8),
        struct.pack(">IBBH", 12, 2, 0, 0) + b"\x00\x53\x10\xd0",
        struct.pack(">IBBH", 13, 2, 0, 0) + b"\x00\x53\x99\xc0\x00",
        struct.pack(">IBBH", 20, 2, 0, 0) + b"\x00\x53\x17\xd0\xff\xff\xff\xff\xff\xff\xff\xff",
        struct.pack(">IBBH", 8 + 400, 2, 0, 0) + b"\x00" * 400,
        struct.pack(">IBBH", 8 + 3 + 200, 2, 0, 0) + b"\x00\x53\x10" + b"\xc0\xff\x01" * 66 + b"\x40\x40",
    ],
)
def test_a_malformed_frame_closes_the_connection_with_an_error(broker: RunningBroker, wrong: bytes) -> None:
    with RawClient(broker.port) as client:
        client.opened().send(wrong)
        closing = client.read()
        assert isinstance(closing, Close)
        assert condition(closing) in ("amqp:connection:framing-error", "amqp:decode-error")
        assert client.is_closed_by_broker()
    assert_alive(broker)


@pytest.mark.parametrize(
    ("frames", "ending", "expected"),
    [
        ([Open("again")], Close, "amqp:not-allowed"),
        ([End()], Close, "amqp:not-allowed"),
        ([Begin(None, UInt(0), UInt(1), UInt(1))] * 2, Close, "amqp:not-allowed"),
    ],
)
def test_frames_out_of_place_are_refused(
    broker: RunningBroker, frames: list[Performative], ending: type, expected: str
) -> None:
    with RawClient(broker.port) as client:
        client.opened()
        for performative in frames:
            client.perform(performative)
        answer = client.read()
        answer = client.read() if isinstance(answer, Begin) else answer
        assert isinstance(answer, ending)
        assert condition(answer) == expected
    assert_alive(broker)


def test_a_transfer_on_a_handle_that_is_not_attached_ends_the_session(broker: RunningBroker) -> None:
    with RawClient(broker.port) as client:
        client.begun().perform(Transfer(UInt(9), UInt(0), b"t"), channel=1, payload=BODY)
        ending = client.read()
        assert isinstance(ending, End)
        assert condition(ending) == "amqp:session:unattached-handle"


def test_a_message_without_end_detaches_the_link_at_the_limit(broker: RunningBroker, hub: str) -> None:
    with RawClient(broker.port) as client:
        client.begun().attach_publisher(hub)
        assert isinstance(client.read(), Flow)
        for _ in range(20):
            client.perform(
                Transfer(UInt(0), UInt(0), b"t", UInt(0), False, True), channel=1, payload=bytes(65000)
            )
        detach = client.read()
        assert isinstance(detach, Detach)
        assert condition(detach) == "amqp:link:message-size-exceeded"
        # The session lives: the same handle can be attached again.
        client.perform(Detach(UInt(0), True), channel=1)
        assert isinstance(client.attach_publisher(hub), Attach)


@pytest.mark.parametrize(
    ("payload", "message_format"),
    [(b"no message", 0), (b"\x00\x53\x75\xb0\xff\xff\xff\xff", 0), (b"\x00\x53\x75\xa0\x03bad", 0x80013700)],
)
def test_a_delivery_that_is_no_message_is_rejected_and_the_link_goes_on(
    broker: RunningBroker, hub: str, payload: bytes, message_format: int
) -> None:
    with RawClient(broker.port) as client:
        client.begun().attach_publisher(hub)
        assert isinstance(client.read(), Flow)
        client.perform(
            Transfer(UInt(0), UInt(0), b"0", UInt(message_format), False), channel=1, payload=payload
        )
        client.perform(Transfer(UInt(0), UInt(1), b"1", UInt(0), False), channel=1, payload=BODY)
        outcomes = []
        for _ in range(2):
            disposition = client.read()
            assert isinstance(disposition, Disposition)
            assert isinstance(disposition.state, Described)
            outcomes.append(disposition.state.descriptor)
        assert outcomes == [ULong(0x25), ULong(0x24)]


def test_a_draining_reader_gets_its_credit_back(broker: RunningBroker, hub: str) -> None:
    with RawClient(broker.port) as client:
        client.begun().attach_consumer(hub, credit=0)
        client.flow(10, drain=True)
        answer = client.read()
        assert isinstance(answer, Flow)
        assert (answer.delivery_count, answer.link_credit, answer.drain) == (10, 0, True)


def test_credit_and_window_bound_what_a_reader_is_sent(broker: RunningBroker, hub: str) -> None:
    with RawClient(broker.port) as client:
        client.begun().attach_publisher(hub)
        for number in range(10):
            tag = bytes((number,))
            client.perform(Transfer(UInt(0), UInt(number), tag, UInt(0), True), channel=1, payload=BODY)
        client.attach_consumer(hub, credit=3)
        # Whatever came before the answer to this, came on the credit of three.
        client.perform(
            Flow(UInt(3), UInt(2), UInt(0), UInt(5000), UInt(1), UInt(3), UInt(100), echo=True), channel=1
        )
        transfers = 0
        while not (isinstance(received := client.read(), Flow) and received.handle == 1):
            transfers += isinstance(received, Transfer)
    assert transfers == 5


def test_a_client_that_vanishes_in_mid_frame_leaves_nothing_behind(broker: RunningBroker, hub: str) -> None:
    for _ in range(20):
        with RawClient(broker.port) as client:
            client.begun().attach_consumer(hub, credit=10)
            client.send(frame(End(), 1)[:5])
    # Each was a reader without an epoch, of which there may be five.
    with RawClient(broker.port) as client:
        answer = client.begun().attach_consumer(hub, credit=1)
        assert isinstance(answer, Attach)
        assert answer.source is not None


# One exchange is short: a few thousand malformed streams in some seconds.
FUZZ = settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(garbage=st.binary(min_size=1, max_size=300), opened=st.booleans())
def test_any_bytes_leave_the_broker_alive(broker: RunningBroker, garbage: bytes, opened: bool) -> None:
    with RawClient(broker.port) as client:
        if opened:
            client.opened()
        else:
            client.send(AMQP_HEADER)
        client.send(garbage)
    assert_alive(broker)


@FUZZ
@given(seed=st.integers(0, 2**32), flips=st.integers(1, 6))
def test_a_conversation_with_flipped_bytes_leaves_the_broker_alive(
    broker: RunningBroker, seed: int, flips: int
) -> None:
    source, target = (
        Described(ULong(0x28), ["hub99/ConsumerGroups/g/Partitions/0"]),
        Described(ULong(0x29), ["hub99"]),
    )
    conversation = bytearray(
        frame(Begin(None, UInt(0), UInt(10), UInt(10)), 1)
        + frame(Attach("a", UInt(0), False, source=source, target=target, initial_delivery_count=UInt(0)), 1)
        + frame(Transfer(UInt(0), UInt(0), b"t", UInt(0), False), 1, payload=BODY)
        + frame(Attach("b", UInt(1), True, source=source, target=target), 1)
        + frame(Flow(UInt(0), UInt(10), UInt(1), UInt(10), UInt(1), UInt(0), UInt(10)), 1)
        + frame(Detach(UInt(1), True), 1)
        + frame(End(), 1)
    )
    chance = random.Random(seed)
    for _ in range(flips):
        conversation[chance.randrange(len(conversation))] = chance.randrange(256)
    with RawClient(broker.port) as client:
        client.opened().send(bytes(conversation))
    assert_alive(broker)
