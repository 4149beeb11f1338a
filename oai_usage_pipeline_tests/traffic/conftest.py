"""One run of generated events, shared by the tests that only read it."""

from datetime import UTC, datetime

import pytest

from oai_usage_pipeline.traffic.generator import GeneratedEvent, generate

SEED = 11
START = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def start() -> datetime:
    return START


@pytest.fixture(scope="session")
def events() -> list[GeneratedEvent]:
    """Enough of every kind for statements about proportions."""
    return list(generate(SEED, START, 6000))
