"""Derive against DuckDB's JSON functions: events a second on one core, from the same rows.

Belongs here: how many events and rounds, in a process held to one thread. Both sides are in
`derive_loop`.
"""

from benchmarks.child import Result, measured
from benchmarks.figure import Figure

AIM = 5.0
EVENTS, QUICK_EVENTS = 20_000, 500
ROUNDS = 3


def run(*, quick: bool) -> list[Figure]:
    """Generated traffic of all kinds, against DuckDB as it is written and as it is fastest."""
    events, rounds = (QUICK_EVENTS, 1) if quick else (EVENTS, ROUNDS)
    one_thread = {"POLARS_MAX_THREADS": "1"}
    result = measured("derive_loop:compare", one_thread, events=events, rounds=rounds)
    name = f"derive, {result['mean_bytes'] / 1000:.1f} KB mean, 1 core"
    return [
        Figure.of_rounds(
            name, "events/s", _pairs(result, "duckdb_fields", rounds), "DuckDB, field by field", AIM
        ),
        Figure.of_rounds(name, "events/s", _pairs(result, "duckdb_lists", rounds), "DuckDB, one call", None),
    ]


def _pairs(result: Result, reference: str, rounds: int) -> list[tuple[float, float]]:
    return [(result[f"ours_{n}"], result[f"{reference}_{n}"]) for n in range(rounds)]
