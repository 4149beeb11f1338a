"""The documentation tells the truth: commands, targets, settings, files and links exist."""

import re
from pathlib import Path

import click
import pytest

from oai_usage_pipeline.cli import COMMANDS, main
from oai_usage_pipeline.settings import Settings, environment_names
from oai_usage_pipeline.tables import TABLES, TableContract

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "SECURITY.md",
    *sorted(REPOSITORY.glob("C*.md")),
    *sorted(REPOSITORY.glob("docs/*.md")),
]
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def page_name(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def options_of(found: click.Command, words: list[str]) -> set[str]:
    """The options of a command, or of the one of its group that the next word names."""
    if isinstance(found, click.Group) and words and words[0] in found.commands:
        return options_of(found.commands[words[0]], words[1:])
    return {option for each in found.params for option in each.opts}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_make_target_named_exists(page: Path) -> None:
    named = set(re.findall(r"`?make ([a-z]+)`|^make ([a-z]+)", page.read_text(), re.MULTILINE))
    assert {a or b for a, b in named} <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_and_option_named_exists(page: Path) -> None:
    for name, rest in re.findall(r"oai-usage ([a-z]+)([^`\n]*)", page.read_text()):
        if name in COMMANDS:
            options = options_of(command(name), rest.split())
            assert set(re.findall(r"--[a-z-]+", rest)) <= options, f"oai-usage {name} {rest}"


def test_the_readme_names_every_command() -> None:
    assert set(COMMANDS) <= set(re.findall(r"oai-usage ([a-z]+)", README))


def test_the_settings_table_is_the_settings() -> None:
    rows = re.findall(r"^\| `(OAI_USAGE_[A-Z_]+)` \| (.*?) \| (.*?) \|$", README, re.MULTILINE)
    assert [name for name, _, _ in rows] == environment_names()
    for (_, default, meaning), field in zip(rows, Settings.model_fields.values(), strict=True):
        assert meaning == field.description
        assert field.default is None or default == f"`{field.default}`"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_setting_named_exists(page: Path) -> None:
    assert set(re.findall(r"OAI_USAGE_[A-Z_]*[A-Z]", page.read_text())) <= set(environment_names())


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_and_file_named_exists(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (page.parent / link).exists(), link
    roots = ("", "oai_usage_pipeline", "oai_usage_pipeline_tests")
    for path in re.findall(r"`([a-z_]+/[a-z_/]+\.(?:py|md|yaml))`", text):
        assert any((REPOSITORY / root / path).exists() for root in roots), path


@pytest.mark.parametrize("contract", TABLES, ids=lambda contract: contract.name)
def test_every_column_is_described(contract: TableContract) -> None:
    assert all(contract.column_description(column) for column in contract.schema)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-extras.lock"])
def test_a_lock_names_no_host_and_pins_all_with_hashes(name: str) -> None:
    lock = (REPOSITORY / name).read_text()
    assert not re.search(r"https?://|--index|--find-links|file:", lock)
    pins = re.findall(r"^([A-Za-z0-9_.\[\]-]+)==", lock, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^\S", lock, re.MULTILINE))
    assert lock.count("--hash=sha256:") >= len(pins)


def test_the_security_target_lists_and_audits_both_locks() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    assert "\nLOCKS := requirements.lock requirements-extras.lock\n" in makefile
    recipe = makefile.split("\nsecurity:")[1].split("\n\n")[0]
    for program, locks in (
        ("| $(BIN)/python -W ignore -m cyclonedx_py", "$(LOCKS)"),
        ("pip-audit", "$(LOCKS:%=-r %)"),
    ):
        assert any(program in line and locks in line for line in recipe.splitlines())


def test_the_extras_change_nothing_that_is_locked() -> None:
    locked, extras = (
        dict(re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==(\S+)", (REPOSITORY / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-extras.lock")
    )
    assert {name: extras[name] for name in locked.keys() & extras.keys()}.items() <= locked.items()


def test_the_dagster_family_is_pinned_together() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text()
    versions = dict(re.findall(r"^(dagster[a-z-]*)==([0-9.]+)", lock, re.MULTILINE))
    assert {versions[each] for each in ("dagster", "dagster-webserver", "dagster-graphql")} == {"1.13.27"}
    assert versions["dagster-azure"] == "0.29.27"
