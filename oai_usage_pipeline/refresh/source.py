"""The table that a derived one follows from, as long as it can be the one that it followed so far.

Belongs here: telling a table that has not begun from one that was lost. What changed in it is for
`watermark`.

Followed, a lost table would empty what was derived of it, and charges with it. It is lost where it isn't
there, or was made anew and never written, while the derived table has rows that are not of it.
"""

from typing import Any

from oai_usage_pipeline.errors import LakeDamaged, NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.refresh.derivation import EVERY_DAY, Derivation
from oai_usage_pipeline.refresh.watermark import watermark_id
from oai_usage_pipeline.tables import TableContract


def source_of(lake: Lake, derivation: Derivation[Any]) -> LakeTable | None:
    """The newest version of the source; None where nothing was derived yet and there is nothing to derive.

    Makes nothing. Raises LakeDamaged where the source was lost, LakeUnavailable.
    """
    source = _existing(lake, derivation.source)
    if source is not None and source.version > 0:
        return source
    target = _existing(lake, derivation.target)
    if target is None or not (count := target.row_count()) or (source and _has_followed(target, source)):
        return source
    # Once more: at a first start, somebody else may have begun it, and derived of it, meanwhile.
    source = _existing(lake, derivation.source)
    if source is not None and source.version > 0:
        return source
    raise LakeDamaged(
        f"{derivation.source.name} is not there, or is empty and new, at {lake.uri(derivation.source)}, but "
        f"{derivation.target.name} has {count:,} rows, which were derived of it: the table was moved, "
        "deleted or made anew. Nothing is changed. Bring the folder back from a backup, in place of an "
        "empty one"
    )


def _existing(lake: Lake, contract: TableContract) -> LakeTable | None:
    try:
        return lake.existing(contract)
    except NoTable:
        return None


def _has_followed(target: LakeTable, source: LakeTable) -> bool:
    """Whether any day was derived of this very table, as days without a call may be of an empty one."""
    days = (EVERY_DAY, *target.days())
    return any(target.position(watermark_id(target, source, day)) is not None for day in days)
