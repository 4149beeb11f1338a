"""One run of generated events, shared by the tests that only read it, and a broker to send to."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from oai_usage_pipeline.broker.process import BrokerProcess
from oai_usage_pipeline.traffic.generator import GeneratedEvent, generate
from oai_usage_pipeline_tests.traffic.hubs import EmptyHub

SEED = 11
START = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def start() -> datetime:
    return START


@pytest.fixture(scope="session")
def events() -> list[GeneratedEvent]:
    """Enough of every kind for statements about proportions."""
    return list(generate(SEED, START, 6000))


@pytest.fixture(scope="session")
def unused_hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[EmptyHub]]:
    """The hubs of one broker process: starting one per test would take most of the time."""
    names = [f"hub-{number}" for number in range(20)]
    with BrokerProcess(tmp_path_factory.mktemp("broker"), hubs=names, partitions=4) as broker:
        yield [EmptyHub(name, broker.connection_string) for name in names]


@pytest.fixture
def hub(unused_hubs: list[EmptyHub]) -> EmptyHub:
    return unused_hubs.pop()
