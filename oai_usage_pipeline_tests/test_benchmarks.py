"""The benchmarks' machinery on little work: that each measures what it says, never how fast.

Belongs here: what keeps `make bench` from breaking unseen. Figures belong in docs/BENCHMARKS.md.
"""

from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from click.testing import CliRunner
from polars.testing import assert_frame_equal

from benchmarks import live_pass, rebuild_loop
from benchmarks.__main__ import main
from benchmarks.envelopes import envelopes
from benchmarks.figure import Figure
from benchmarks.history import Batch, fill, keep_up
from oai_usage_pipeline.audit.invariants import verify
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.refresh.chain import DAILY
from oai_usage_pipeline.refresh.day import stale_days
from oai_usage_pipeline.usage.derive import derive
from oai_usage_pipeline.usage.envelope import open_envelope
from oai_usage_pipeline.usage.metering import meter


def test_capture_and_derive_are_compared_with_their_references() -> None:
    result = CliRunner().invoke(main, ["--quick", "derive", "capture"])
    assert result.exit_code == 0, result.output
    for figure in ("derive", "DuckDB", "capture, 2 KB, 2 partitions", "bare loop"):
        assert figure in result.output


def test_backfill_is_compared_with_its_references() -> None:
    result = CliRunner().invoke(main, ["--quick", "backfill"])
    assert result.exit_code == 0, result.output
    for figure in ("derive alone", "1 core", "peak memory"):
        assert figure in result.output


def test_silver_of_a_moved_batch_is_what_follows_from_its_bronze() -> None:
    batch, later = Batch(datetime(2026, 2, 1, tzinfo=UTC), 50), timedelta(days=3, hours=5)
    assert_frame_equal(batch.silver(7, later), derive(batch.bronze(7, later)))


def test_history_is_a_sound_lake_that_passes_and_duckdb_agree_with(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    fill(lake.location, "2026-02-01T00:00:00+00:00", 2 * 86_400, commits=4, events=50)
    assert [stale_days(lake, derivation) for derivation in DAILY] == [[], [], []]
    keep_up(lake.location, "2026-02-03T12:00:00+00:00")
    spent = live_pass.run(lake.location, "2026-02-03T12:00:00+00:00", events=20, passes=2)
    assert min(spent.values()) > 0
    made, summed = rebuild_loop.rebuild(lake.location), rebuild_loop.duckdb_adds_up(lake.location)
    assert made["request_count"] == summed["request_count"] == 4 * 50 + 3 * 20
    assert made["total_tokens"] == summed["total_tokens"]
    failed = [each.invariant for each in verify(lake) if not each.holds]
    assert failed == ["days_are_current"], "chargeback, which no pass states, is all that is behind"


def test_measured_bodies_are_readable_calls_of_about_the_wanted_size() -> None:
    for size in (2_000, 20_000):
        for body in islice(envelopes(size), 20):
            assert abs(len(body) - size) < 0.1 * size
            opened = open_envelope(body)
            assert meter(opened.Request, opened.Response).status == "metered"


def test_no_two_measured_bodies_are_alike() -> None:
    assert len(set(islice(envelopes(2_000), 1_000))) == 1_000


def test_ratio_is_the_median_of_the_rounds_and_not_of_their_speeds() -> None:
    rounds = [(10.0, 10.0), (3.0, 6.0), (90.0, 100.0)]
    figure = Figure.of_rounds("any", "events/s", rounds, "reference", aim=0.9)
    assert (figure.ratio, figure.is_met) == (0.9, True)


def test_limit_is_met_from_below() -> None:
    assert Figure("memory", "MB", 599, 600, "limit", 1, at_most=True).is_met
    assert not Figure("memory", "MB", 601, 600, "limit", 1, at_most=True).is_met
