"""A fuzzer of the way from an event's bytes to its silver rows, with the key scrubbed on the way.

    python -m oai_usage_pipeline_tests.usage.fuzz --inputs 100000 --seed 1 [--guided]

`fuzz` runs in this process and keeps as further seeds those inputs that came out in a new way; with
`--guided`, atheris keeps those that reached new lines of `usage` (`guided_fuzz`). What must hold for every
input is checked here; what the inputs are belongs in `mutations`.
"""

import argparse
import json
import re
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from time import perf_counter, thread_time

import polars as pl

from oai_usage_pipeline.capture.landing import LandedRow, bronze_frame, land
from oai_usage_pipeline.capture.source import Hub, HubEvent
from oai_usage_pipeline.tables import OPENAI_EVENTS, STATUSES, TOKEN_COLUMNS, USAGE_EVENTS
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.usage.bodies import ENQUEUED_AT
from oai_usage_pipeline_tests.usage.mutations import CANARY, mutated, seeds

LOT = 128
"""Events that are derived at once; each lot that is slow or wrong is derived again, one by one."""

MOST_SECONDS = 2.0
MOST_ROWS = 10_001
_MOST_SEEDS = 4_000
_ENQUEUED_MS = int(ENQUEUED_AT.timestamp() * 1000)
_SLOW_LOT = 0.5
_WITHOUT_REASON = ("metered", "unit_billed")
_HUB = Hub("namespace/hub", "2026-01-05T08:00:00.000Z", ("0",))
_KEYS = KeyFingerprint(b"pepper of the fuzzer")
_KEY_FIELD = re.compile(rb'"[aA]ppSubscriptionKey"\s{0,9}:\s{0,9}"%s"' % CANARY.encode())
_FORMS = (CANARY, CANARY.upper())


@dataclass
class Figures:
    """What came of a run; `failures` are the first inputs that something was wrong with, and what."""

    inputs: int = 0
    uncaught: int = 0
    wrong: int = 0
    leaks: int = 0
    slow: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    seconds: float = 0.0
    outcomes: int = 0
    """Different ways to come out: shape, status, operation and reason."""
    edges: int | None = None
    """Branches reached in `usage`, where atheris counted them."""
    failures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was uncaught, wrong, leaked or slower than `MOST_SECONDS`."""
        return not (self.uncaught or self.wrong or self.leaks or self.slow)


class Target:
    """Takes inputs one by one, checks them lot by lot."""

    def __init__(self, lot: int = LOT) -> None:
        self.figures = Figures()
        self._lot = lot
        self.milliseconds: list[float] = []
        self.new: list[bytes] = []
        """Inputs of the last lot that came out in a way that none did before."""
        self._bodies: list[bytes] = []
        self._rows: list[LandedRow] = []
        self._landing: list[float] = []
        self._outcomes: set[tuple[object, ...]] = set()

    def feed(self, body: bytes) -> None:
        """Land one input; with the last of a lot, derive and check them all."""
        started = thread_time()
        try:
            row = land("0", HubEvent(len(self._rows), "0", _ENQUEUED_MS, body), _KEYS)
        except BaseException as error:  # noqa: BLE001  # a panic is none of Exception, and the point
            self._failed("uncaught", body, repr(error))
            return
        self._landing.append(thread_time() - started)
        self._bodies.append(body)
        self._rows.append(row)
        if len(self._rows) >= self._lot:
            self.finish()

    def finish(self) -> Figures:
        """Check what is left, and count."""
        bodies, rows, landing = self._bodies, self._rows, self._landing
        self._bodies, self._rows, self._landing, self.new = [], [], [], []
        if rows:
            self.figures.inputs += len(rows)
            shares = self._derive(bodies, rows)
            self._time(bodies, [1000 * sum(each) for each in zip(landing, shares, strict=True)])
            for body, row in zip(bodies, rows, strict=True):
                self._look_for_the_key(body, row)
        return self.figures

    def counted(self, started: float) -> Figures:
        """The figures with the times that inputs took."""
        times, figures = sorted(self.milliseconds), self.figures
        if times:
            figures.p50_ms, figures.p99_ms = (round(times[int(len(times) * at)], 3) for at in (0.5, 0.99))
            figures.max_ms = round(times[-1], 1)
        figures.seconds = round(perf_counter() - started, 1)
        figures.outcomes = len(self._outcomes)
        return figures

    def _derive(self, bodies: list[bytes], rows: list[LandedRow]) -> list[float]:
        """Seconds of each event: its share of the lot's, or its own where the lot was slow."""
        started = thread_time()
        try:
            silver = _silver(rows)
        except BaseException as error:  # noqa: BLE001  # as above
            if len(rows) == 1:
                self._failed("uncaught", bodies[0], repr(error))
                return [thread_time() - started]
            return self._one_by_one(bodies, rows)
        took = thread_time() - started
        if len(rows) > 1 and (took > _SLOW_LOT or _faults(silver, rows)):
            return self._one_by_one(bodies, rows)
        for fault in _faults(silver, rows):
            self._failed("wrong", bodies[0], fault)
        self._note(bodies, silver)
        return [took / len(rows)] * len(rows)

    def _one_by_one(self, bodies: list[bytes], rows: list[LandedRow]) -> list[float]:
        return [
            self._derive([body], [(row[0], 0, *row[2:])])[0] for body, row in zip(bodies, rows, strict=True)
        ]

    def _note(self, bodies: list[bytes], silver: pl.DataFrame) -> None:
        ways = silver.select("sequence_number", "event_shape", "status", "operation", "reason", "is_stream")
        for number, *way in ways.unique(maintain_order=True).iter_rows():
            outcome = tuple(re.sub(r"\d+", "N", str(each)) for each in way)
            if outcome not in self._outcomes:
                self._outcomes.add(outcome)
                self.new.append(bodies[number])

    def _time(self, bodies: list[bytes], milliseconds: list[float]) -> None:
        self.milliseconds += milliseconds
        for body, each in zip(bodies, milliseconds, strict=True):
            if each > 1000 * MOST_SECONDS:
                self._failed("slow", body, f"{each:.0f} ms")

    def _look_for_the_key(self, body: bytes, row: LandedRow) -> None:
        # Read as UTF-16, the bytes of the field are no field, and the halves of another may surround a key.
        if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            return
        if len(_KEY_FIELD.findall(body)) != 1 or body.count(b"ubscriptionKey") != 1:
            return
        texts = "\n".join(each for each in row[4:] if isinstance(each, str))
        kept = b"\n".join(each for each in row[4:] if isinstance(each, bytes))
        if any(form in texts or form.encode() in kept or form.encode("utf-16-le") in kept for form in _FORMS):
            self._failed("leaks", body, "the key was kept")

    def _failed(self, kind: str, body: bytes, what: str) -> None:
        setattr(self.figures, kind, getattr(self.figures, kind) + 1)
        if len(self.figures.failures) < 100:
            self.figures.failures.append((f"{kind}: {what[:200]}", body[:20_000].decode("latin-1")))


def _silver(rows: Sequence[LandedRow]) -> pl.DataFrame:
    bronze = bronze_frame(_HUB, rows)
    if bronze.schema != pl.Schema(OPENAI_EVENTS.schema) or len(bronze) != len(rows):
        raise AssertionError("bronze has not the rows and columns that it should have")
    return derive(bronze)


def _faults(silver: pl.DataFrame, rows: Sequence[LandedRow]) -> list[str]:
    """What is wrong with the silver rows of a lot."""
    numbers = silver["sequence_number"]
    lacks_reason = ~silver["status"].is_in(_WITHOUT_REASON) & silver["reason"].is_null()
    counts = silver.select(pl.min_horizontal(pl.col(TOKEN_COLUMNS).min())).item()
    checks = {
        "schema": silver.schema == pl.Schema(USAGE_EVENTS.schema),
        "a row each": set(numbers) == {row[1] for row in rows},
        "too many rows": len(silver) <= MOST_ROWS or len(rows) > 1,
        "status": silver["status"].is_in(STATUSES).all(),
        "reason": not lacks_reason.any(),
        "a bug that was caught": not silver["reason"].str.starts_with("parser_failed").any(),
        "negative tokens": counts is None or counts >= 0,
        "a day": not silver["usage_date"].has_nulls(),
    }
    return [name for name, holds in checks.items() if not holds]


def fuzz(
    inputs: int,
    seed: int = 1,
    say: Callable[[Figures], object] | None = None,
    *,
    seconds: float | None = None,
) -> Figures:
    """Try so many inputs, or as many as there is time for; the same ones for the same seed.

    `say` is told the figures every 10,000 inputs.
    """
    random, target, started = Random(seed), Target(), perf_counter()
    pool = seeds(random)
    for body in pool[:inputs]:
        target.feed(body)
    for number in range(len(pool), inputs):
        body = mutated(random.choice(pool), random, random.choice(pool))
        target.feed(body)
        if target.new:
            pool += [each for each in target.new if len(each) < 50_000]
            del pool[:-_MOST_SEEDS]
            target.new = []
        if number % 10_000 == 0 and say:
            say(target.counted(started))
        if seconds is not None and perf_counter() - started > seconds:
            break
    target.finish()
    return target.counted(started)


def _say(figures: Figures) -> None:
    print(json.dumps(asdict(figures) | {"failures": len(figures.failures)}), file=sys.stderr, flush=True)


def main() -> int:
    """The command; exit 1 when something was uncaught, wrong, leaked or slow."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="stop after this time")
    parser.add_argument("--guided", action="store_true", help="let atheris choose, by branches reached")
    parser.add_argument("--failures", type=Path, help="a file for the inputs that failed")
    asked = parser.parse_args()
    if asked.guided:
        from oai_usage_pipeline_tests.usage.guided_fuzz import guided_fuzz

        figures = guided_fuzz(asked.inputs, asked.seed)
    else:
        figures = fuzz(asked.inputs, asked.seed, _say, seconds=asked.seconds)
    if asked.failures:
        asked.failures.write_text(json.dumps(figures.failures, indent=1), encoding="utf-8")
    print(json.dumps(asdict(figures) | {"failures": [what for what, _ in figures.failures[:10]]}))
    return 0 if figures.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
