"""The hash of partition keys is the one that the SDK's buffered producer uses."""

from typing import Any

from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver
from hypothesis import given
from hypothesis import strategies as st

from oai_usage_pipeline.broker.partition_key import partition_of


# The SDK's own hash counts characters, not bytes, so the two can be compared for ASCII only.
@given(key=st.text(st.characters(max_codepoint=127), max_size=60), partition_count=st.integers(1, 40))
def test_a_key_goes_where_the_buffered_producer_would_send_it(key: str, partition_count: int) -> None:
    ids = [str(number) for number in range(partition_count)]
    resolver: Any = PartitionResolver(ids)  # type: ignore[no-untyped-call]  # no types in there
    assert str(partition_of(key, partition_count)) == resolver.get_partition_id_by_partition_key(key)
