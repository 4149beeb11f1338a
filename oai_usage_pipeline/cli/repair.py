"""`oai-usage repair`: what is wrong with the table of events, and setting it right.

Belongs here: the question and the exit code. What is done is for `capture.repair`.
"""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from oai_usage_pipeline.capture.repair import Plan


@click.command("repair")
@click.option("--yes", is_flag=True, help="Do what is found to be needed without asking: for scripts.")
def command(yes: bool) -> None:
    """Look at all captured events, show what is wrong and what would set it right, and ask before doing it.

    Without a terminal and without --yes it only shows. Exit 0 only when nothing is left wrong.
    """
    from datetime import UTC, datetime

    from oai_usage_pipeline.capture.repair import Repair
    from oai_usage_pipeline.orchestration.resources import Pipeline

    pipeline = Pipeline()

    def agree(plan: "Plan") -> bool:
        show(plan)
        return yes or (sys.stdin.isatty() and click.confirm("Do this?"))

    with pipeline.source() as source:
        repair = Repair(
            source,
            pipeline.lake(),
            pipeline.fingerprint(),
            lambda: datetime.now(UTC),
            agree,
            lambda done: click.echo(f"Done: {done}"),
            pipeline.keep(),
            pipeline.forget().by_record,
        )
        left = repair.execute()
    if left.is_sound:
        click.echo(
            "Nothing is wrong: every position has its rows, each event once, and no hole but known gaps."
        )
        return
    if left.remedies:
        click.echo("Nothing of this was done.")
    else:
        show(left)
    raise SystemExit(1)


def show(plan: "Plan") -> None:
    """Print a plan in sentences."""
    for number, remedy in enumerate(plan.remedies, 1):
        click.echo(f"{number}. {remedy}")
    for each in plan.left:
        click.echo(f"Needs a person: {each}")
