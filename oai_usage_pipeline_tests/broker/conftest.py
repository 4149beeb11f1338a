"""A broker shared by the tests that do not hurt it, and a hub for each of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oai_usage_pipeline_tests.running_broker import RunningBroker

HUBS = 100


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A running broker with hubs of two partitions; tests must leave it running."""
    data = tmp_path_factory.mktemp("broker")
    with RunningBroker(data, hubs=[f"hub{number}" for number in range(HUBS)], partitions=2) as running:
        yield running
        # A client's mistake ends in an AMQP error, never in an exception that the broker did not foresee.
        assert running.said() == ""


@pytest.fixture(scope="session")
def unused_hubs() -> Iterator[str]:
    return iter([f"hub{number}" for number in range(HUBS)])


@pytest.fixture
def hub(unused_hubs: Iterator[str]) -> str:
    """An empty hub of the shared broker."""
    return next(unused_hubs)


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[RunningBroker]:
    """A broker with one hub of two partitions, for a test to kill, stop and restart."""
    with RunningBroker(tmp_path / "data", partitions=2) as running:
        yield running
