"""`oai-usage run`: passes of the pipeline through Dagster, in this process."""

import click


@click.command("run")
@click.option("--until-idle", is_flag=True, required=True, help="Run passes until nothing is left to do.")
def command(until_idle: bool) -> None:
    """Capture, derive and aggregate through Dagster; exit 0 only when nothing is left to do."""
    del until_idle
    from oai_usage_pipeline.orchestration.instance import dagster_instance
    from oai_usage_pipeline.orchestration.passes import run_until_idle
    from oai_usage_pipeline.orchestration.resources import Pipeline

    pipeline = Pipeline()
    pipeline.settings()
    with dagster_instance() as instance:
        passes = run_until_idle(instance, pipeline, report=click.echo)
    click.echo(f"Nothing is left to do after {passes} passes.")
