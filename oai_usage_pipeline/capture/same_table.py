"""Bronze as one run opens it: the same table from the run's first look to its last commit.

Belongs here: knowing the table again. What is wrong with a table that is there is for `preflight`; whether a
lake without one is new, for `beginning`.

Deleted while a run captures, the table would be made anew by the next commit, and the middle of the hub would
be taken for its beginning: a table that has no position says nothing against it.
"""

from oai_usage_pipeline.errors import LakeDamaged, NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.lake.table import LakeTable
from oai_usage_pipeline.tables import OPENAI_EVENTS


class SameTable:
    """Opens the table whose id is `table_id`; where that is None, the run makes it, or joins who does."""

    def __init__(self, lake: Lake, table_id: str | None) -> None:
        self._lake = lake
        self._id = table_id
        self._open = lake.table if table_id is None else lake.grown

    def __call__(self) -> LakeTable:
        """The newest version of the table; raises LakeDamaged where it is gone, or is another one now."""
        try:
            table = self._open(OPENAI_EVENTS)
        except NoTable:
            raise lost_meanwhile(self._lake.uri(OPENAI_EVENTS)) from None
        if self._id not in (None, table.id):
            raise lost_meanwhile(self._lake.uri(OPENAI_EVENTS))
        # Opened once, it has all columns.
        self._id, self._open = table.id, self._lake.existing
        return table


def lost_meanwhile(uri: str) -> LakeDamaged:
    """What to say when the table is no longer the one that the run began with."""
    return LakeDamaged(
        f"{OPENAI_EVENTS.name} at {uri} is no longer the table that this run began with: it was moved, "
        "deleted or made anew meanwhile. Nothing more is captured: begun in the middle, all that was there "
        "before would be missing without a word. Bring the folder back from a backup, in place of a new one"
    )
