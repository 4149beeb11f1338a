"""The form of a table: the protocol features that it asks of writers, and its columns.

Belongs here: what of it doesn't fit this pipeline, in words. What is in the columns does not.
"""

from collections.abc import Collection

from deltalake import DeltaTable, Schema

from oai_usage_pipeline.tables import TableContract

LAST_READER_VERSION = 1
LAST_WRITER_VERSION = 4
"""The last protocol versions that name no features; from reader version 2 on columns may be renamed."""

FEATURES = frozenset(
    {"appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns", "timestampNtz"}
)
"""The features that delta-rs writes and polars reads, each tried.

Left out on purpose: with deletion vectors, rows that somebody deleted are still in the files that are read
for changes and replaced by the day.
"""


def strange_features(handle: DeltaTable) -> list[str]:
    """Features of the table that this pipeline must not write over, by their names in Delta's protocol."""
    protocol = handle.protocol()
    named = {str(each) for each in (*(protocol.reader_features or ()), *(protocol.writer_features or ()))}
    if named:
        return sorted(named - FEATURES)
    return [
        f"{what} version {found}"
        for what, found, last in (
            ("reader", protocol.min_reader_version, LAST_READER_VERSION),
            ("writer", protocol.min_writer_version, LAST_WRITER_VERSION),
        )
        if found > last
    ]


def strange_columns(handle: DeltaTable, contract: TableContract, required: Collection[str]) -> list[str]:
    """Columns of the contract that the table has with another type, or lacks although required, in words."""
    found = {field.name: str(field.type) for field in handle.schema().fields}
    wanted = Schema.from_arrow(contract.empty().to_arrow().schema)
    wrong = []
    for field in wanted.fields:
        if field.name not in found:
            if field.name in required:
                wrong.append(f"column {field.name} is missing")
        elif found[field.name] != str(field.type):
            wrong.append(
                f"column {field.name} is {_type(found[field.name])}, expected {_type(str(field.type))}"
            )
    return wrong


def _type(name: str) -> str:
    """`string` of `PrimitiveType("string")`."""
    return name.removeprefix('PrimitiveType("').removesuffix('")')
