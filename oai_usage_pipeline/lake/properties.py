"""The properties of a table in Delta: what each must have, and the one that none may have.

Belongs here: the values, and what a table lacks of them. It is looked at whenever a table is opened for
writing, so a table that lost a property, or was made without, has it again with the next pass.
"""

from deltalake import DeltaTable

from oai_usage_pipeline.errors import LakeDamaged
from oai_usage_pipeline.tables import TableContract

CHANGE_FEED = "delta.enableChangeDataFeed"
STATISTICS = "delta.dataSkippingStatsColumns"
FORBIDDEN = "delta.setTransactionRetentionDuration"
LOG_RETENTION = "delta.logRetentionDuration"
FILE_RETENTION = "delta.deletedFileRetentionDuration"
COMPACTION = "oaiUsage.compaction"
"""Who compacts the table: see `upkeep`."""
ERASURES = "oaiUsage.erasures"
"""How far the record of erasures was when the last one began: see `LakeTable.note_erasures`."""

PROPERTIES = {
    # Opening a table at version 5,000 takes 26 ms with checkpoints and a second without.
    "delta.checkpointInterval": "10",
    # `changes` reads what is new in a table; appends write nothing more for it.
    CHANGE_FEED: "true",
}


def properties_of(contract: TableContract) -> dict[str, str]:
    """What a table is made with."""
    return {**PROPERTIES, STATISTICS: ",".join(contract.statistics)}


def lacking(handle: DeltaTable, contract: TableContract) -> dict[str, str]:
    """Properties that a table must be given.

    Another checkpoint interval is somebody's choice and stays. Statistics of columns that the contract leaves
    out would stand in the log in clear; fewer than it names are those of an older contract.
    """
    found = handle.metadata().configuration
    wanted = properties_of(contract)
    wrong = {name: value for name, value in wanted.items() if found.get(name) is None}
    if found.get(CHANGE_FEED, "true").lower() != "true":
        wrong[CHANGE_FEED] = "true"
    if not set(found.get(STATISTICS, "").split(",")) - {""} <= set(contract.statistics):
        wrong[STATISTICS] = wanted[STATISTICS]
    return wrong


def refuse_forgotten_positions(handle: DeltaTable, contract: TableContract) -> None:
    """Raise LakeDamaged when Delta was told to forget positions."""
    if FORBIDDEN in handle.metadata().configuration:
        raise LakeDamaged(
            f"{contract.name} has the property {FORBIDDEN}: Delta would forget positions and events would be "
            "captured twice. Remove it (ALTER TABLE ... UNSET TBLPROPERTIES)"
        )
