"""`oai-usage fingerprint`: what a caller's key is called in the tables, without the key touching anything.

Belongs here: that a key comes in hidden and only its fingerprint goes out. Making one belongs in `usage`.
"""

import sys
from collections.abc import Iterator

import click

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.settings import Settings
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

MOST_BYTES = 2**20

_IN_HISTORY = (
    "A key is never taken as an argument: the shell keeps it in its history, and other users see it in the "
    "list of processes. Renew the key if it was a real one. Call `oai-usage fingerprint` alone and paste the "
    "key at the prompt, or send keys to its standard input, one a line"
)


@click.command("fingerprint", context_settings={"ignore_unknown_options": True})
# All that could be a key is taken and refused here: click would repeat it in its own message.
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="")
def command(arguments: tuple[str, ...]) -> None:
    """Print the fingerprint of a key: asked for at a hidden prompt, or keys on standard input, one a line.

    While OAI_USAGE_KEY_PEPPER_PREVIOUS is set, the fingerprint of the version before stands behind it.
    """
    if arguments:
        raise click.UsageError(_IN_HISTORY)
    settings = Settings.load()
    fingerprint = KeyFingerprint(settings.pepper, settings.key_pepper_version, settings.previous_pepper)
    makers = [each for each in (fingerprint, fingerprint.previous) if each is not None]
    if settings.key_pepper is None:
        click.echo(
            "OAI_USAGE_KEY_PEPPER is not set: made with the public pepper of the local broker, and of use "
            "with that only",
            err=True,
        )
    for key in _keys():
        click.echo(" ".join(each.of(key) for each in makers))


def _keys() -> Iterator[str]:
    """The keys without white space around them, which comes from pasting; raises ConfigurationError."""
    if sys.stdin and sys.stdin.isatty():
        text = click.prompt("Key (not shown)", hide_input=True, err=True)
    else:
        text = _text(sys.stdin.buffer.read(MOST_BYTES + 1) if sys.stdin else b"")
    keys = [line.strip() for line in text.splitlines()]
    if not any(keys):
        raise ConfigurationError("There was no key on standard input; expected one a line")
    yield from (key for key in keys if key)


def _text(raw: bytes) -> str:
    if len(raw) > MOST_BYTES:
        raise ConfigurationError(
            f"Standard input has more than {MOST_BYTES:,} bytes; expected keys, one a line"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError("Standard input is not UTF-8 text; expected keys, one a line") from None
