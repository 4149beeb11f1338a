"""What is wrong with a reference file, said all at once: where, what was found, what was expected.

Belongs here: collecting and wording. Deciding what is wrong does not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.reference.raw_keys import without_keys

MOST_SHOWN = 20
_LONGEST_SHOWN = 60


@dataclass(frozen=True, order=True)
class Finding:
    """One fault of a file; `line` counts from 1 as editors do, 0 means the file as a whole."""

    line: int
    column: str
    text: str

    def sentence(self, file: str) -> str:
        """The finding with its place in front."""
        line = f", line {self.line}" if self.line else ""
        column = f", column {self.column}" if self.column else ""
        return f"{file}{line}{column}: {self.text}"


def refuse(path: Path, findings: Iterable[Finding]) -> None:
    """Raise one ConfigurationError with every finding, the first `MOST_SHOWN` in full; nothing if none."""
    ordered = sorted(findings)
    if not ordered:
        return
    lines = [finding.sentence(path.name) for finding in ordered[:MOST_SHOWN]]
    if len(ordered) > MOST_SHOWN:
        lines.append(f"... and {len(ordered) - MOST_SHOWN:,} more in {path.name}")
    count = "1 fault" if len(ordered) == 1 else f"{len(ordered):,} faults"
    raise ConfigurationError("\n".join([f"{path} has {count}; nothing of it was taken:", *lines]))


def shown(value: object) -> str:
    """A value as a message may show it: quoted, escaped, cut, and never a key."""
    text = without_keys(str(value))
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...")
