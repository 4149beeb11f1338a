"""A lake with a long history, made fast: a small batch is landed and derived once, then moved on in time.

Belongs here: what a moved batch must have so that bronze, positions and watermarks are those of a capture
that took so many batches. Gold and cost are made of it by the pipeline itself, a commit a day.
"""

from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import polars as pl

from benchmarks.envelopes import envelopes
from oai_usage_pipeline.capture.landing import bronze_frame, land
from oai_usage_pipeline.capture.peppers import check_pepper
from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.maintenance.upkeep import maintain
from oai_usage_pipeline.reference.landing import land_reference
from oai_usage_pipeline.refresh.chain import DAILY
from oai_usage_pipeline.refresh.day import refresh_days, stale_days
from oai_usage_pipeline.refresh.derivation import EVERY_DAY
from oai_usage_pipeline.refresh.watermark import watermark_id
from oai_usage_pipeline.tables import OPENAI_EVENTS, TABLES, USAGE_EVENTS
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

PARTITION = "0"
HUB = Hub("namespace/hub", "2026-01-01T00:00:00.000Z", (PARTITION,))
FINGERPRINT = KeyFingerprint(b"benchmark")
EVENT_BYTES = 2_000
HISTORY_DAYS = 30


def fill(lake: str, start: str, seconds: int, commits: int, events: int) -> dict[str, float]:
    """Batches of `events` events each, spread evenly over `seconds` from `start` (ISO, a midnight in UTC).

    Raises AssertionError when the pipeline then finds a day of silver that is behind.
    """
    batch, filled = Batch(datetime.fromisoformat(start), events), Lake(lake)
    check_pepper(filled, FINGERPRINT, lambda: datetime.now(UTC))
    land_reference(filled, Path(lake) / "no files of anybody's own")
    for number in range(commits):
        _commit(filled, batch, number, timedelta(seconds=number * seconds // commits))
    for derivation in DAILY:
        behind = [each.day for each in stale_days(filled, derivation)]
        if derivation.target is USAGE_EVENTS and behind:
            raise AssertionError(f"silver should have followed bronze, and is behind on {behind}")
        refresh_days(filled, derivation, behind)
    return {"events": commits * events, "commits": commits}


def keep_up(lake: str, at: str) -> dict[str, float]:
    """The nightly upkeep, as of the day of `at`; raises AssertionError with what it couldn't do."""
    done = maintain(Lake(lake), TABLES, datetime.fromisoformat(at).date(), HISTORY_DAYS)
    if done.failures:
        raise AssertionError("\n".join(done.failures))
    return {"files": sum(each.files_after for each in done.compactions)}


class Batch:
    """The batch that all others are copies of, in bronze and in silver: its events are 1 ms apart."""

    def __init__(self, start: datetime, events: int) -> None:
        first_ms = int(start.timestamp() * 1000)
        bodies = islice(envelopes(EVENT_BYTES), events)
        rows = [
            land(PARTITION, HubEvent(n, str(n), first_ms + n, body), FINGERPRINT)
            for n, body in enumerate(bodies)
        ]
        self._bronze = bronze_frame(HUB, rows).with_columns(EventTime=_event_time())
        self._silver = derive(self._bronze)

    def bronze(self, number: int, later: timedelta) -> pl.DataFrame:
        """The batch of that number, from 0, so much later than the first."""
        moved = self._moved(self._bronze, number, later).with_columns(
            _with_id("Response", number), EventTime=_event_time()
        )
        return moved.with_columns(pl.col("sequence_number").cast(pl.String).alias("offset"))

    def silver(self, number: int, later: timedelta) -> pl.DataFrame:
        """What follows from `bronze` of the same."""
        return self._moved(self._silver, number, later).with_columns(
            _with_id("response_id", number),
            event_at=pl.col("event_at") + later,
            usage_date=(pl.col("event_at") + later).dt.date(),
        )

    def _moved(self, rows: pl.DataFrame, number: int, later: timedelta) -> pl.DataFrame:
        return rows.with_columns(
            sequence_number=pl.col("sequence_number") + number * len(self._bronze),
            enqueued_at=pl.col("enqueued_at") + later,
            enqueued_date=(pl.col("enqueued_at") + later).dt.date(),
        )


def _commit(lake: Lake, batch: Batch, number: int, later: timedelta) -> None:
    """One batch as a capture and the refresh behind it commit it."""
    rows = batch.bronze(number, later)
    lake.table(OPENAI_EVENTS).append(rows, {HUB.app_id(PARTITION): int(rows["sequence_number"][-1])})
    bronze, silver = lake.table(OPENAI_EVENTS), lake.table(USAGE_EVENTS)
    days = (rows["enqueued_date"][0].isoformat(), EVERY_DAY)
    marks = {watermark_id(silver, bronze, day): bronze.version for day in days}
    silver.append(batch.silver(number, later), marks)


def _event_time() -> pl.Expr:
    return pl.col("enqueued_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def _with_id(column: str, number: int) -> pl.Expr:
    """No two calls share an id: they would be records of one."""
    return pl.col(column).str.replace_all("chatcmpl-", f"chatcmpl-{number}-", literal=True)
