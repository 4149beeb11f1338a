"""`python -m benchmarks`: run the benchmarks and show their figures in one table.

Belongs here: which run, and in what order. `latency` watches the live stack for minutes, and
`long-growth` fills a lake for many: they are run by their own names only.
"""

from collections.abc import Callable

import click

from benchmarks import backfill, capture, derive, growth, latency, memory
from benchmarks.figure import Figure, show

BENCHMARKS: dict[str, Callable[..., list[Figure]]] = {
    "capture": capture.run,
    "derive": derive.run,
    "memory": memory.run,
    "backfill": backfill.run,
    "growth": growth.run,
    "latency": latency.run,
    "long-growth": growth.run_full,
}
DEFAULT = ("derive", "backfill", "growth", "memory", "capture")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="Try the machinery on little work; the figures mean nothing.")
def main(names: tuple[str, ...], *, quick: bool) -> None:
    """Measure the named benchmarks, or all but `latency` and `long-growth` (some ten minutes)."""
    figures = [figure for name in names or DEFAULT for figure in BENCHMARKS[name](quick=quick)]
    show(figures)


if __name__ == "__main__":
    main()
