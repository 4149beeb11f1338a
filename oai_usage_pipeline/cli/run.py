"""`oai-usage run`: passes of the pipeline through Dagster, in this process."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click


@click.command("run")
@click.option("--until-idle", is_flag=True, required=True, help="Run passes until nothing is left to do.")
def command(until_idle: bool) -> None:
    """Capture, derive and aggregate through Dagster; exit 0 only when nothing is left to do."""
    del until_idle
    with ExitStack() as held:
        with _loading():
            from oai_usage_pipeline.orchestration.instance import dagster_instance
            from oai_usage_pipeline.orchestration.passes import run_until_idle
            from oai_usage_pipeline.orchestration.resources import Pipeline

            pipeline = Pipeline()
            pipeline.settings()
            instance = held.enter_context(dagster_instance())
        passes = run_until_idle(instance, pipeline, report=click.echo)
    click.echo(f"Nothing is left to do after {passes} passes.")


@contextmanager
def _loading() -> Iterator[None]:
    """While modules are loaded, nothing becomes garbage: to look for it takes a seventh of the time."""
    gc.disable()
    try:
        yield
    finally:
        # What is loaded stays, so later looks needn't walk it either.
        gc.freeze()
        gc.enable()
