"""`oai-usage status`: where every partition and every table stands."""

import json

import click


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(as_json: bool) -> None:
    """Show position, head, lag and gaps by partition; rows, version and latest day by table."""
    from oai_usage_pipeline.audit.status import status
    from oai_usage_pipeline.orchestration.resources import Pipeline

    pipeline = Pipeline()
    with pipeline.source() as source:
        found = status(source, pipeline.lake())
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
        return
    from oai_usage_pipeline.cli.tables import show

    show("Partitions of the hub", found.partitions)
    show("Tables of the lake", found.tables)
