"""One Azurite and one proxy before it for the fault tests of a worker."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline_tests.faults.azurite import Azurite, lake_at, new_location, why_not
from oai_usage_pipeline_tests.faults.proxy import Honest
from oai_usage_pipeline_tests.faults.store_proxy import StoreProxy, running_store_proxy


@dataclass(frozen=True)
class Store:
    """A store and the proxy before it; `lake` goes through the proxy, `direct` around it."""

    azurite: Azurite
    proxy: StoreProxy
    lake: Lake
    direct: Lake


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    if reason := why_not():
        pytest.skip(reason)
    with Azurite() as azurite:
        yield azurite


@pytest.fixture(scope="session")
def proxied(azurite: Azurite) -> Iterator[tuple[int, StoreProxy]]:
    with running_store_proxy(azurite.port) as running:
        yield running


@pytest.fixture
def store(azurite: Azurite, proxied: tuple[int, StoreProxy]) -> Iterator[Store]:
    """An honest proxy and a new place in the store; a stalled request is given up after a second."""
    port, proxy = proxied
    location = new_location()
    impatient = lake_at(port, location, timeout="1s", connect_timeout="1s", retry_timeout="1s")
    yield Store(azurite, proxy, impatient, lake_at(azurite.port, location))
    proxy.inject()
    proxy.behave(Honest())
