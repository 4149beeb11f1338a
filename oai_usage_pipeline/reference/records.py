"""The records of a CSV file as people and spreadsheets write it, each with the line it starts on.

Belongs here: encodings, delimiters, quotes, comments. What the columns mean does not.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.reference.findings import Finding, refuse

MOST_BYTES = 64 * 2**20
"""A reference file is kept by hand; what is larger is another file."""


@dataclass(frozen=True)
class Record:
    """One record: the line it starts on, from 1, and its cells without white space around them."""

    line: int
    cells: tuple[str, ...]


def read_records(path: Path) -> tuple[list[Record], list[Finding]]:
    """Every record but blank ones and comments, and what could not be read as one.

    UTF-8 with or without a byte order mark; separated by commas, or by semicolons if the first record
    has them. Raises ConfigurationError when the file can't be read or is no such text.
    """
    text = _text(path)
    records: list[Record] = []
    findings: list[Finding] = []
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=_delimiter(text), strict=True, skipinitialspace=True)
    while True:
        lines.begin_record()
        try:
            cells = next(reader)
        except StopIteration:
            return records, findings
        except csv.Error as error:
            findings.append(Finding(lines.first, "", _quoting(error)))
            continue
        record = Record(lines.first, tuple(cell.strip() for cell in cells))
        if any(record.cells):
            records.append(record)


def _quoting(error: csv.Error) -> str:
    return (
        f"this is no CSV record ({error}): a quoted value ends with a quote right before the separator, and "
        'a quote inside it is written twice ("")'
    )


class _Lines(Iterator[str]):
    """Hands the reader its lines and knows where a record began; a comment may only stand between two.

    A '#' within a quoted value of several lines is text.
    """

    def __init__(self, text: str) -> None:
        self._lines = _lines(text)
        self._number = 0
        self._begins = True
        self.first = 0

    def begin_record(self) -> None:
        self._begins = True

    def __next__(self) -> str:
        line = self._next()
        while self._begins and _is_comment(line):
            line = self._next()
        if self._begins:
            self.first, self._begins = self._number, False
        return line

    def _next(self) -> str:
        self._number += 1
        return next(self._lines)


def _lines(text: str) -> Iterator[str]:
    """As editors count lines: other characters that Unicode calls line ends are left in the values."""
    return iter(io.StringIO(text, newline=""))


def _is_comment(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _delimiter(text: str) -> str:
    header = next((line for line in _lines(text) if not _is_comment(line)), "")
    return ";" if header.count(";") > header.count(",") else ","


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be read: {error.strerror}. It must be a CSV file that this user may read"
        ) from None
    if len(raw) > MOST_BYTES:
        raise ConfigurationError(f"{path} is larger than {MOST_BYTES:,} bytes: it is no file kept by hand")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        refuse(path, [Finding(line, "", f"this is not UTF-8 text: save the file as {_save_as(raw)}")])
        raise


def _save_as(raw: bytes) -> str:
    found = "; it is UTF-16 now" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
    return f"'CSV UTF-8'{found}"
