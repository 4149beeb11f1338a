"""Gold made anew from silver, against DuckDB doing the same sums on the same files.

Belongs here: the rounds and figures, on a lake that is filled already. Both sides are in `rebuild_loop`.
"""

from benchmarks.child import PEAK_MEMORY, Result, measured
from benchmarks.figure import MB, MEMORY_LIMIT_MB, Figure

AIM = 1.5


def compare(lake: str, rounds: int) -> list[Figure]:
    """Time and processor time of all days of gold, and the peak of memory."""
    pairs = [_pair(lake) for _ in range(rounds)]
    name = f"rebuild of gold, {pairs[0][0]['request_count']:,.0f} rows"

    def compared(what: str) -> Figure:
        measurements = [(ours[what], other[what]) for ours, other in pairs]
        return Figure.of_rounds(f"{name}: {what}", "s", measurements, "DuckDB", AIM, at_most=True)

    peak = max(ours[PEAK_MEMORY] for ours, _ in pairs) / MB
    return [
        compared("time"),
        compared("processor time"),
        Figure(f"{name}: peak memory", "MB", peak, MEMORY_LIMIT_MB, "limit", 1, at_most=True),
    ]


def _pair(lake: str) -> tuple[Result, Result]:
    ours = measured("rebuild_loop:rebuild", lake=lake)
    reference = measured("rebuild_loop:duckdb_adds_up", lake=lake)
    for total in ("request_count", "total_tokens"):
        if ours[total] != reference[total]:
            raise AssertionError(f"the sides don't agree on {total}: {ours[total]} and {reference[total]}")
    return ours, reference
