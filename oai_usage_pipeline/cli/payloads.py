"""`oai-usage payloads`: which texts bronze holds, taking out those beyond their time, erasing somebody's.

Belongs here: options, questions and messages. What is taken out, and how it is gone, is for `privacy`.
"""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from oai_usage_pipeline.cli.terminal import plain
from oai_usage_pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from oai_usage_pipeline.orchestration.resources import Pipeline
    from oai_usage_pipeline.privacy.subject import Subject

LONGEST_USER = 4096


@click.group("payloads", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Show how many events hold texts, and what was erased; purge or erase them."""
    if context.invoked_subcommand is None:
        _show()


@command.command("purge")
@click.option("--dry-run", is_flag=True, help="Only say what would be taken out.")
@click.option("--old-files", is_flag=True, help="Look for old files even where nothing has to be taken out.")
def purge_(dry_run: bool, old_files: bool) -> None:
    """Take the texts out of events older than OAI_USAGE_PAYLOAD_RETENTION_DAYS, old files included."""
    from oai_usage_pipeline.orchestration.resources import Pipeline
    from oai_usage_pipeline.privacy.retention import first_day_kept, purge, texts_by_day

    pipeline = Pipeline()
    retention = pipeline.settings().payload_retention_days
    if retention is None:
        raise ConfigurationError(
            "OAI_USAGE_PAYLOAD_RETENTION_DAYS is not set: texts are kept for ever; set it to the days that "
            "they may stay"
        )
    before = first_day_kept(datetime.now(UTC), retention)
    if not dry_run:
        click.echo(str(purge(pipeline.lake(), before, click.echo, old_files=old_files)))
        return
    days = texts_by_day(pipeline.lake(), before)
    for day, count in days.items():
        click.echo(f"{day}: {count:,} events hold texts")
    click.echo(f"{sum(days.values()):,} events before {before} would lose their texts; nothing was changed.")


@command.command("erase")
@click.option("--subscription", help="Fingerprint of a key, or the gateway's id of a subscription.")
@click.option(
    "--user", "of_user", is_flag=True, help="A user, whose id is asked for unseen, or read from input."
)
@click.option("--by", required=True, help="Who erases: kept in payload_erasures.")
@click.option("--why", required=True, help="Why: kept in payload_erasures.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def erase_(subscription: str | None, of_user: bool, by: str, why: str, yes: bool) -> None:
    """Erase the texts of one subscription or user, in all days and old files; numbers stay.

    A user's id becomes a pseudonym. Events that arrive later are not covered.
    """
    from oai_usage_pipeline.orchestration.resources import Pipeline
    from oai_usage_pipeline.privacy.erasure import erase, events_of
    from oai_usage_pipeline.privacy.subject import pseudonym_of

    if (subscription is None) != of_user:
        raise click.UsageError("Name either --subscription or --user, whose texts are to be erased.")
    pipeline = Pipeline()
    subject = _subject(pipeline, subscription)
    found = events_of(pipeline.lake(), subject)
    what = f"the texts of {sum(found.values()):,} events of {len(found)} days"
    click.echo(f"Found {what} of this {subject.kind}.")
    if not yes and not (sys.stdin.isatty() and click.confirm(f"Erase {what}, for ever?")):
        raise ConfigurationError("Nothing was erased: say yes, or use --yes")
    done = erase(pipeline.lake(), subject, found, by, why, lambda: datetime.now(UTC), click.echo)
    click.echo(plain(str(done)))
    if subject.kind == "user":
        click.echo(f"The user is called {pseudonym_of(done.subject)} from now on.")
        _tell_of_other_peppers(pipeline)


def _tell_of_other_peppers(pipeline: "Pipeline") -> None:
    from oai_usage_pipeline.privacy.erasure import erasures_of, of_other_peppers

    records = [each for each in erasures_of(pipeline.lake()) if each.kind == "user"]
    others = of_other_peppers(records, pipeline.fingerprint())
    if others:
        versions = ", ".join(sorted({str(each.pepper_version) for each in others}))
        click.echo(
            f"{len(others)} erasures of users on record were made with the pepper of version {versions}, "
            "which is not set: whether this user is one of them can't be told. If so, they have two "
            "pseudonyms now."
        )


def _subject(pipeline: "Pipeline", named: str | None) -> "Subject":
    from oai_usage_pipeline.privacy.subject import subscription, user

    if named is not None:
        return subscription(pipeline.lake(), named, pipeline.fingerprint())
    if sys.stdin.isatty():
        name = click.prompt("User id (not shown)", hide_input=True, err=True)
    else:
        name = sys.stdin.read(LONGEST_USER).rstrip("\r\n")
    if not name or "\n" in name:
        raise ConfigurationError("Expected one user id on standard input, and found none or several lines")
    return user(name, pipeline.fingerprint())


def _show() -> None:
    from oai_usage_pipeline.orchestration.resources import Pipeline
    from oai_usage_pipeline.privacy.erasure import erasures_of
    from oai_usage_pipeline.privacy.retention import texts_by_day

    pipeline = Pipeline()
    settings, lake = pipeline.settings(), pipeline.lake()
    days = texts_by_day(lake)
    kept = f"{settings.payload_retention_days} days" if settings.payload_retention_days else "for ever"
    click.echo(f"Kept of what arrives now: {settings.payloads}; texts stay {kept}.")
    oldest = f", the oldest of {min(days)}" if days else ""
    click.echo(f"{sum(days.values()):,} events hold texts{oldest}.")
    for each in erasures_of(lake):
        click.echo(plain(str(each)))
