"""Moving the marks of derived tables past upkeep's own commits, before log entries go.

Belongs here: that one step, without which a quiet week would make every day stale. A derived table that is up
to date commits nothing; its mark stays at the last change of its source, and once the log entries behind that
are gone, nobody can tell that they changed no rows.
"""

import logging
from typing import Any

from oai_usage_pipeline.errors import PositionConflict
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chain import DERIVATIONS
from oai_usage_pipeline.refresh.derivation import EVERY_DAY, Derivation
from oai_usage_pipeline.refresh.source import source_of
from oai_usage_pipeline.refresh.watermark import Watermarks

logger = logging.getLogger(__name__)


def follow(lake: Lake) -> int:
    """Let each derived table that is up to date say so of its source's newest version; returns how many did.

    Tables that are behind are left to their refresh, which moves the mark itself. Raises LakeUnavailable,
    LakeDamaged.
    """
    return sum(_follow(lake, each) for each in DERIVATIONS)


def _follow(lake: Lake, derivation: Derivation[Any]) -> bool:
    source = source_of(lake, derivation)
    if source is None:
        return False
    target = lake.table(derivation.target)
    reference = derivation.reference(lake, source)
    marks = Watermarks(source, derivation.day_column, target, reference)
    mark = marks.app_id(target, EVERY_DAY)
    if target.position(mark) == source.version or marks.stale_days(target):
        return False
    try:
        target.append(target.contract.empty(), {mark: source.version})
    except PositionConflict as conflict:
        logger.info("%s: %s", target.contract.name, conflict)
        return False
    return True
