"""`oai-usage fingerprint`: the key goes in unseen, and nothing but its fingerprint comes out."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oai_usage_pipeline.usage.fingerprint import KeyFingerprint

COMMAND = str(Path(sys.executable).parent / "oai-usage")
KEY = "canary0123456789abcdef0123456789"
PEPPER = "canary-pepper-never-written"
MADE = KeyFingerprint(PEPPER.encode(), 3)
PUBLIC_PEPPER = "made with the public pepper of the local broker"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """An environment with a pepper of version 3, and a folder of its own to leave traces in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OAI_USAGE_")}
    pepper = {"OAI_USAGE_KEY_PEPPER": PEPPER, "OAI_USAGE_KEY_PEPPER_VERSION": "3"}
    return {**kept, **pepper, "HOME": str(tmp_path)}


def fingerprint(
    settings: dict[str, str], *arguments: str, stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [COMMAND, "fingerprint", *arguments],
        env=settings,
        cwd=settings["HOME"],
        input=stdin,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    "stdin",
    [KEY, f"{KEY}\n", f"{KEY}\r\n", f"  {KEY}\t\n\n", f"\ufeff{KEY}\n"],
    ids=["bare", "a line", "CRLF", "white space", "byte order mark"],
)
def test_a_key_on_standard_input_becomes_its_fingerprint_and_nothing_else(
    settings: dict[str, str], stdin: str
) -> None:
    done = fingerprint(settings, stdin=stdin.encode())
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, MADE.of(KEY) + "\n", b"")
    assert MADE.of(KEY).startswith("v3-")


def test_during_a_rotation_the_fingerprint_of_the_version_before_stands_behind_it(
    settings: dict[str, str],
) -> None:
    settings["OAI_USAGE_KEY_PEPPER_PREVIOUS"] = "canary-pepper-of-before"
    before = KeyFingerprint(b"canary-pepper-of-before", 2)
    done = fingerprint(settings, stdin=f"{KEY}\n{KEY[:-1]}".encode())
    lines = [f"{MADE.of(key)} {before.of(key)}" for key in (KEY, KEY[:-1])]
    assert done.stdout.decode().splitlines() == lines


def test_keys_are_read_one_a_line_and_answered_in_their_order(settings: dict[str, str]) -> None:
    keys = [KEY, "sch\u00f6n-key", KEY.upper()]
    done = fingerprint(settings, stdin="\n".join(keys).encode())
    assert done.stdout.decode().split() == [MADE.of(key) for key in keys]


@pytest.mark.parametrize(
    "arguments", [[KEY], ["--key", KEY], [f"--key={KEY}"], [f"-{KEY}"], ["--", KEY], [KEY, KEY]]
)
def test_a_key_as_an_argument_is_refused_and_not_repeated(
    settings: dict[str, str], arguments: list[str]
) -> None:
    done = fingerprint(settings, *arguments, stdin=KEY.encode())
    assert (done.returncode, done.stdout) == (2, b"")
    assert "the shell keeps it in its history" in done.stderr.decode()
    assert KEY[:12] not in done.stderr.decode()


@pytest.mark.parametrize(
    ("stdin", "expected"),
    [
        (b"", "There was no key on standard input"),
        (b" \n\n", "There was no key on standard input"),
        (KEY.encode() + b"\n\xff\xfe", "Standard input is not UTF-8 text"),
        ((KEY + "\n").encode("utf-16"), "Standard input is not UTF-8 text"),
        (KEY.encode() * 40_000, "Standard input has more than 1,048,576 bytes"),
    ],
    ids=["nothing", "blank lines", "no UTF-8", "UTF-16", "too much"],
)
def test_what_is_no_key_is_one_message_without_any_of_it(
    settings: dict[str, str], stdin: bytes, expected: str
) -> None:
    done = fingerprint(settings, stdin=stdin)
    assert (done.returncode, done.stdout) == (1, b"")
    said = done.stderr.decode()
    assert said.startswith("Error: ")
    assert expected in said
    assert KEY[:12] not in said
    assert "Traceback" not in said


def test_the_local_brokers_pepper_is_said_to_be_no_secret(settings: dict[str, str]) -> None:
    del settings["OAI_USAGE_KEY_PEPPER"], settings["OAI_USAGE_KEY_PEPPER_VERSION"]
    done = fingerprint(settings, stdin=KEY.encode())
    assert done.stdout.decode() == KeyFingerprint(b"local-development-only").of(KEY) + "\n"
    assert PUBLIC_PEPPER in done.stderr.decode()


def test_the_same_key_gets_the_fingerprint_that_capture_gives_it(settings: dict[str, str]) -> None:
    from oai_usage_pipeline.usage.envelope import Envelope

    sealed = MADE.seal(Envelope("2026-11-01T10:00:00Z", KEY, "{}", "{}", None, None))
    assert fingerprint(settings, stdin=KEY.encode()).stdout.decode().strip() == sealed.AppSubscriptionKey


def test_at_a_terminal_the_key_is_asked_for_and_not_echoed(settings: dict[str, str]) -> None:
    with terminal() as (end, shown):
        running = subprocess.Popen(
            [COMMAND, "fingerprint"],
            env=settings,
            # The prompt opens /dev/tty: that must be this terminal, not the one that the tests run in.
            preexec_fn=lambda: os.login_tty(shown),
        )
        prompt = read_until(end, b"Key (not shown): ")
        os.write(end, KEY.encode() + b"\n")
        rest = read_until(end, MADE.of(KEY).encode())
        assert running.wait(timeout=60) == 0
    assert KEY[:12].encode() not in prompt + rest


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal's two ends: ours, and the one that the command is shown."""
    end, shown = pty.openpty()
    try:
        yield end, shown
    finally:
        os.close(end)
        os.close(shown)


def read_until(end: int, text: bytes) -> bytes:
    """All that the terminal shows up to and with `text`."""
    found = b""
    while text not in found:
        found += os.read(end, 4096)
    return found
