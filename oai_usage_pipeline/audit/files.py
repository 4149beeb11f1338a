"""The promise about files: every file that a table's log names is there, and as long as it says.

Belongs here: the finding. How a file is looked at stands in `lake`. Changed bytes within a file are
not seen here: Parquet as it is written has no checksums, and object stores keep their own.
"""

from oai_usage_pipeline.audit.findings import Finding, finding
from oai_usage_pipeline.errors import LakeDamaged, NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import TABLES


def files_are_whole(lake: Lake) -> Finding:
    """No log and no data file was cut, emptied or lost; tables that were never made are left out."""
    wrong: list[str] = []
    tables = 0
    for contract in TABLES:
        try:
            wrong += (f"{contract.name}: {damage}" for damage in lake.existing(contract).damaged_files())
        except NoTable:
            continue
        except LakeDamaged as damage:
            wrong.append(str(damage))
        tables += 1
    return finding(
        files_are_whole.__name__,
        wrong,
        f"The files of {tables} tables are there and whole",
        {"tables": tables, "damaged": len(wrong)},
        advice="see what can be had again with `oai-usage repair`",
    )
