"""`oai-usage alerts`: who is told when something is wrong, and whether a message gets there.

Belongs here: options and the list. What is told, and when, is for the sensor `alert_sensor`.
"""

import click

from oai_usage_pipeline.errors import PipelineError


@click.command("alerts")
@click.option("--test", "is_test", is_flag=True, help="Send each receiver a test message.")
def command(is_test: bool) -> None:
    """List the receivers of OAI_USAGE_ALERT_URLS, by number and kind: addresses are secret."""
    from oai_usage_pipeline.alerts.message import TEST
    from oai_usage_pipeline.alerts.receivers import NotDelivered, receivers
    from oai_usage_pipeline.settings import Settings

    found, failures = receivers(Settings.load().alert_urls), list[str]()
    if not found:
        click.echo("OAI_USAGE_ALERT_URLS is not set: nobody is told when something is wrong.")
    for each in found:
        try:
            if is_test:
                each.tell(TEST)
            click.echo(f"{each.name}{': told' if is_test else ''}")
        except NotDelivered as failure:
            failures.append(str(failure))
    if failures:
        raise PipelineError("\n".join(failures))
