"""Whether a lake without events, or without erasures, is a new one, or one that has lost that table.

Belongs here: that question, asked before anything makes the table. What a table that is there says of itself
is for `preflight`.

Begun anew, bronze would hold what the hub still has and nothing older, and silver, gold and charges would
follow it: usage gone without a word. Without the record of erasures, what was erased would be landed again
with its texts.
"""

from collections.abc import Iterator

from oai_usage_pipeline.capture.gaps import gaps_of
from oai_usage_pipeline.errors import LakeDamaged, NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.properties import ERASURES
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import CAPTURE_GAPS, OPENAI_EVENTS, PAYLOAD_ERASURES, USAGE_EVENTS

ERASING = "payload_erasures"
"""The application transaction that every writer of the record of erasures moves."""


def refuse_lost_table(lake: Lake) -> None:
    """Raise LakeDamaged where other tables tell of events, and bronze isn't there or never had a row.

    Makes nothing. Raises LakeUnavailable when the lake can't be read.
    """
    # Bronze once more afterwards: at a first start, another capture may have begun it meanwhile.
    if _has_begun(lake) or not (witnesses := list(_witnesses(lake))) or _has_begun(lake):
        return
    raise LakeDamaged(
        f"{OPENAI_EVENTS.name} is not there, or is empty and new, at {lake.uri(OPENAI_EVENTS)}, but "
        f"{' and '.join(witnesses)}: events were captured, and their table was moved, deleted or made anew. "
        "Nothing is captured: begun anew, all that the hub has let go since would be missing, from usage and "
        "charges too. Bring the folder back from a backup, in place of an empty one. To begin anew on "
        "purpose, set OAI_USAGE_LAKE_URI to another place, or remove the other tables of the lake as well"
    )


def refuse_lost_erasures(lake: Lake, bronze: LakeTable) -> None:
    """Raise LakeDamaged where bronze tells of erasures that `payload_erasures` doesn't have (any more).

    Reads nothing more where nobody ever erased. Raises LakeUnavailable when the lake can't be read.
    """
    if (noted := bronze.erasures_noted) and (found := _recorded(lake)) < noted:
        raise LakeDamaged(
            f"{PAYLOAD_ERASURES.name} is not there, or was made anew or set back, at "
            f"{lake.uri(PAYLOAD_ERASURES)}: its counter {ERASING} is {found}, and {OPENAI_EVENTS.name} tells "
            f"of an erasure at {noted}. Nothing is captured, repaired or erased: without the record, texts "
            "that were erased would come back. Bring the folder back from a backup. Where there is none, "
            f"remove what tells of it (ALTER TABLE {OPENAI_EVENTS.name} UNSET TBLPROPERTIES ('{ERASURES}')), "
            "and erase once more whatever was erased"
        )


def _recorded(lake: Lake) -> int:
    try:
        return lake.existing(PAYLOAD_ERASURES).position(ERASING) or 0
    except NoTable:
        return 0


def _has_begun(lake: Lake) -> bool:
    """Whether anything was committed to bronze after it was made."""
    try:
        return lake.existing(OPENAI_EVENTS).version > 0
    except NoTable:
        return False


def _witnesses(lake: Lake) -> Iterator[str]:
    """Each table that could say so only after events had been captured, and what it says."""
    try:
        if count := lake.existing(USAGE_EVENTS).row_count():
            yield f"{USAGE_EVENTS.name} has {count:,} rows"
    except NoTable:
        pass
    # Without an event before it, a gap may have been found before the first event was captured.
    if count := sum(each.after_at is not None for each in gaps_of(lake)):
        yield f"{CAPTURE_GAPS.name} has {count:,} gaps that follow a captured event"
