"""The benchmarks' machinery on little work: that each measures what it says, never how fast.

Belongs here: what keeps `make bench` from breaking unseen. Figures belong in docs/BENCHMARKS.md.
"""

from itertools import islice

from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.envelopes import envelopes
from benchmarks.figure import Figure
from oai_usage_pipeline.usage.envelope import open_envelope
from oai_usage_pipeline.usage.metering import meter


def test_capture_and_derive_are_compared_with_their_references() -> None:
    result = CliRunner().invoke(main, ["--quick", "derive", "capture"])
    assert result.exit_code == 0, result.output
    for figure in ("derive", "DuckDB", "capture, 2 KB, 2 partitions", "bare loop"):
        assert figure in result.output


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
