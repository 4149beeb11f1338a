"""The ledger: what was generated, what must come out of it, and whether the hub acknowledged it.

JSON lines. The first is a header; then, per batch, one line per event, written and flushed before
the batch is sent, and `{"batch_sent": n}` after the hub acknowledged it. It holds no subscription
key; who sends and how belongs in `sender`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from oai_usage_pipeline.errors import ConfigurationError

FORMAT = 1


@dataclass(frozen=True)
class LedgerHeader:
    """Which traffic it is: `team_keys(seed)` and `generate(seed, start_at, ...)` give it again.

    `start_at` is ISO 8601 with a zone; `count` is None for endless traffic.
    """

    seed: int
    start_at: str
    count: int | None = None
    days: int = 0
    rate: float | None = None


@dataclass(frozen=True)
class LedgerEntry:
    """One event: how to find it, and what the pipeline must make of it.

    `event_id` counts from 0 within the ledger. `sha256` and `size` (bytes) are those of the message
    body as sent; `request_sha256` and `response_sha256` those of the two property texts in UTF-8.
    `model` is what the response names or, when it names none, what the request does
    (`requested_model`, in Azure a deployment). Nulls say what can't be known from the message: one
    that is no JSON shows no team and no time, a stream without usage has no token counts. `status` is
    one of metered, unmetered, pending, failed, unit_billed, rejected.
    """

    event_id: int
    partition_key: str
    kind: str
    team: str | None
    subscription_key_sha256: str | None
    event_time: str | None
    operation: str | None
    model: str | None
    requested_model: str | None
    user: str | None
    is_stream: bool
    response_id: str | None
    status: str
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    cached_input_tokens: int | None
    reasoning_output_tokens: int | None
    size: int
    sha256: str
    request_sha256: str | None
    response_sha256: str | None

    @property
    def event_at(self) -> datetime | None:
        """The event's instant in UTC, its 100 ns digit cut off (never rounded into the next hour)."""
        return None if self.event_time is None else instant_of(self.event_time)

    @property
    def hour_at(self) -> datetime | None:
        """The hour it is booked in."""
        instant = self.event_at
        return None if instant is None else instant.replace(minute=0, second=0, microsecond=0)

    @property
    def usage_date(self) -> date | None:
        """The day it is booked on, in UTC."""
        instant = self.event_at
        return None if instant is None else instant.date()

    def to_json(self, batch: int) -> str:
        """The ledger line of this event as part of a batch."""
        return json.dumps({"batch": batch, **vars(self)}, ensure_ascii=False)


@dataclass(frozen=True)
class LedgerContents:
    """A ledger as read: `acknowledged` events are in the hub, `unacknowledged` ones may be.

    After a clean end nothing is unacknowledged; after a kill or a lost connection at most one batch.
    """

    header: LedgerHeader
    acknowledged: tuple[LedgerEntry, ...]
    unacknowledged: tuple[LedgerEntry, ...]


class Ledger:
    """Writes a ledger; flushed to the operating system, so it survives this process being killed."""

    def __init__(self, path: Path, header: LedgerHeader) -> None:
        """Start a new file; raises ConfigurationError when it exists or can't be created."""
        self._path = path
        self._file = _create(path)
        self._batch = 0
        self._write([json.dumps({"ledger": FORMAT, **asdict(header)})])

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; a failure before the first event leaves no file, so that a retry can begin."""
        self._file.close()
        if error is not None and self._batch == 0:
            self._path.unlink()

    def announce(self, entries: Iterable[LedgerEntry]) -> int:
        """Write the events of a batch that is about to be sent; returns the batch's number."""
        self._batch += 1
        self._write(entry.to_json(self._batch) for entry in entries)
        return self._batch

    def acknowledge(self, batch: int) -> None:
        """Note that the hub has the batch."""
        self._write([json.dumps({"batch_sent": batch})])

    def _write(self, lines: Iterable[str]) -> None:
        self._file.writelines(f"{line}\n" for line in lines)
        self._file.flush()


def read_ledger(path: Path) -> LedgerContents:
    """Read a ledger, also one whose writer was killed; raises ConfigurationError if it is none."""
    with _open(path) as file:
        lines = _whole_lines(file)
        header = _header(next(lines, {}), path)
        batches: dict[int, list[LedgerEntry]] = {}
        sent: set[int] = set()
        for line in lines:
            if "batch_sent" in line:
                sent.add(line["batch_sent"])
            else:
                batches.setdefault(line.pop("batch"), []).append(LedgerEntry(**line))
    return LedgerContents(
        header,
        tuple(entry for batch in batches if batch in sent for entry in batches[batch]),
        tuple(entry for batch in batches if batch not in sent for entry in batches[batch]),
    )


def _open(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"The ledger {path} can't be read ({error.strerror}): give the file that "
            "`oai-usage traffic --ledger` wrote"
        ) from None


def _create(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("x", encoding="utf-8", newline="\n")
    except FileExistsError:
        raise ConfigurationError(
            f"The ledger {path} exists already and may describe events that are still in a hub: "
            "name a new file, or remove this one"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"The ledger {path} can't be created ({error.strerror}): name a file in a writable folder"
        ) from None


def _whole_lines(file: Iterable[str]) -> Iterator[dict[str, Any]]:
    """A last line without its end was cut by a kill; its batch was never sent, or never acknowledged."""
    for line in file:
        if line.endswith("\n"):
            yield json.loads(line)


def _header(line: dict[str, Any], path: Path) -> LedgerHeader:
    if line.get("ledger") != FORMAT:
        raise ConfigurationError(
            f"{path} is no traffic ledger of format {FORMAT}: give the file that "
            "`oai-usage traffic --ledger` wrote"
        )
    return LedgerHeader(**{field.name: line[field.name] for field in fields(LedgerHeader)})


def instant_of(event_time: str) -> datetime:
    """An EventTime as an instant, cut to microseconds by hand: a rounding reader would be no oracle."""
    whole, _, fraction = event_time.removesuffix("Z").partition(".")
    microsecond = int(fraction[:6].ljust(6, "0")) if fraction else 0
    return datetime.fromisoformat(whole).replace(microsecond=microsecond, tzinfo=UTC)
