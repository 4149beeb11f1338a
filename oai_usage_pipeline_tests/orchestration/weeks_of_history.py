"""A hub that has been there for weeks: it holds events of many days, with a ledger for each.

They are put into the broker's files before it starts, since a hub stamps what it is sent with its own clock.
"""

import json
from datetime import datetime, timedelta

from oai_usage_pipeline.broker.encoding import encode
from oai_usage_pipeline.broker.hub import Hub, Retention
from oai_usage_pipeline.broker.message import DATA, Message
from oai_usage_pipeline.embedded.stack import HUB, EmbeddedStack
from oai_usage_pipeline.traffic.generator import GeneratedEvent, generate
from oai_usage_pipeline.traffic.ledger import Ledger, LedgerHeader

EACH_OTHER_SHAPE = 7
"""Every so many events come in another shape, which says the same by other names."""

_CAMEL_CASE = {
    "EventTime": "eventTime",
    "AppSubscriptionKey": "appSubscriptionKey",
    "Request": "request",
    "Response": "response",
}


def fill(stack: EmbeddedStack, first: datetime, days: int, events: int) -> None:
    """Have `events` accepted on each of `days`, from the instant `first` on, a day apart."""
    hub = Hub(stack.folder / "hub" / HUB, HUB, stack.partitions, Retention())
    for number in range(days):
        _fill_day(stack, hub, first + timedelta(days=number), events)
    hub.close()


def _fill_day(stack: EmbeddedStack, hub: Hub, at: datetime, events: int) -> None:
    seed, path = stack.next_ledger()
    with Ledger(path, LedgerHeader(seed, at.isoformat(), events)) as ledger:
        made = list(generate(seed, at, events))
        batch = ledger.announce(each.entry for each in made)
        for number, each in enumerate(made):
            body = _camel_case(each) if number % EACH_OTHER_SHAPE == 0 else each.body
            log = hub.partition_for(each.partition_key).log
            log.append([Message(_data(body))], int(at.timestamp() * 1000))
        ledger.acknowledge(batch)


def _data(body: bytes) -> bytes:
    return b"\x00\x53" + bytes((DATA,)) + encode(body)


def _camel_case(event: GeneratedEvent) -> bytes:
    """The event in camel case; one that is no JSON, as it is."""
    try:
        fields = json.loads(event.body)
    except ValueError:
        return event.body
    return json.dumps({_CAMEL_CASE[name]: value for name, value in fields.items()}).encode()
