"""The errors that people see: each says what was found, what was expected and what to do.

Only types belong here, sorted by what a caller does about them. No message may hold a secret.
"""


class PipelineError(Exception):
    """A failure explained to the person who runs the pipeline; shown without a traceback."""


class ConfigurationError(PipelineError):
    """A setting is missing, unknown or wrong."""


class SourceUnavailable(PipelineError):
    """The Event Hub can't be reached, refuses us, or stopped sending while it has more."""


class SourceGap(PipelineError):
    """A partition no longer has, or did not deliver, the events after our position.

    `missing` are their numbers as ranges, both ends inclusive; empty where it isn't known which are
    missing, or where none are (a hub that was set back, events out of order).
    """

    def __init__(self, message: str, missing: tuple[tuple[int, int], ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing


class PositionConflict(PipelineError):
    """Another committer moved the position of a partition; re-read and go on."""


class LakeUnavailable(PipelineError):
    """The lake can't be read or written."""


class NoTable(LakeUnavailable):
    """A table was to be looked at, not made, and isn't there."""


class HistoryGone(LakeUnavailable):
    """What changed in a table can no longer be told: its log or its old files were cleaned up."""


class LakeDamaged(PipelineError):
    """A table contradicts itself or has a property that this pipeline must not write over."""
