"""The `oai-usage` command: one module per subcommand, imported only when it is called.

Belongs here: options, progress and exit codes. What a command does lives in the packages it calls.
"""

from importlib import import_module

import click

from oai_usage_pipeline.errors import PipelineError

COMMANDS = (
    "broker",
    "traffic",
    "run",
    "status",
    "verify",
    "repair",
    "gaps",
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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="oai-usage-pipeline")
def main() -> None:
    """Exactly-once capture of Azure OpenAI usage, and the numbers people are charged by."""
