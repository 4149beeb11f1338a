"""The `oai-usage` command: one module per subcommand, imported only when it is called.

Belongs here: options, progress and exit codes. What a command does lives in the packages it calls.
"""

import sys
from importlib import import_module

import click

from oai_usage_pipeline.errors import PipelineError

COMMANDS = (
    "broker",
    "traffic",
    "run",
    "status",
    "verify",
    "replay",
    "backfill",
    "repair",
    "maintain",
    "alerts",
    "gaps",
    "payloads",
    "fingerprint",
    "subscriptions",
    "prices",
    "month",
    "reconcile",
    "demo",
    "dev",
)


class _Commands(click.Group):
    """Loads a subcommand's module on use: `oai-usage broker` must not wait for Dagster's import."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"oai_usage_pipeline.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Turn errors made for people into one message and exit code 1."""
        try:
            return super().invoke(ctx)
        except PipelineError as error:
            raise click.ClickException(str(error)) from None
        except BaseException as error:  # A panic of the readers is no Exception.
            if (meaning := _lake_failure(error)) is None:
                raise
            raise click.ClickException(meaning) from None


def _lake_failure(error: BaseException) -> str | None:
    """What an error of the lake's readers means; they throw it where rows are used, far from the lake."""
    if "polars" not in sys.modules:
        return None
    from oai_usage_pipeline.lake.failures import meaning_of_any

    meaning = meaning_of_any(error)
    return str(meaning) if meaning else None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="oai-usage-pipeline")
def main() -> None:
    """Exactly-once capture of Azure OpenAI usage, and the numbers people are charged by."""
