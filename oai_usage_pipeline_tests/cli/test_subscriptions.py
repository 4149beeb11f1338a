"""`oai-usage subscriptions`: check, land and import, as people call them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.reference.imported import FILE as IMPORTED
from oai_usage_pipeline.reference.subscriptions import read_subscriptions
from oai_usage_pipeline.tables import SUBSCRIPTIONS
from oai_usage_pipeline_tests.reference.management_api import Answer, ManagementApi, listed, management_api
from oai_usage_pipeline_tests.reference.writing import refusal, write

COMMAND = str(Path(sys.executable).parent / "oai-usage")
KEY = "0123456789abcdef0123456789abcdef"
HEADER = "subscription,name,team,valid_from"
TOKEN = "token-never-shown"


def subscriptions(folder: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OAI_USAGE_", "AZURE_"))
    }
    own = {
        "OAI_USAGE_REFERENCE_FOLDER": str(folder / "reference"),
        "OAI_USAGE_LAKE_URI": str(folder / "lake"),
        "HOME": str(folder),
    }
    return subprocess.run(
        [COMMAND, "subscriptions", *arguments],
        env={**kept, **own, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_check_shows_the_rows_of_valid_files(tmp_path: Path) -> None:
    write(tmp_path / "reference", "subscriptions.csv", HEADER, "sub-1,Shop chat,Checkout,2026-04-01")
    shown = subscriptions(tmp_path, "check")
    assert (shown.returncode, shown.stderr) == (0, "")
    for text in ("sub-1", "Shop chat", "Checkout", "2026-04-01T00:00Z", "GlobalStandard", "0 of them from"):
        assert text in shown.stdout
    assert not (tmp_path / "lake").exists()


def test_check_names_every_fault_of_every_file_and_shows_no_key(tmp_path: Path) -> None:
    write(tmp_path / "reference", "subscriptions.csv", HEADER, f"{KEY},Shop chat,Checkout,")
    write(tmp_path / "reference", "deployments.csv", "deployment,deployment_type", "chat,Standrad")
    failed = subscriptions(tmp_path, "check")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "subscriptions.csv, line 2, column subscription" in failed.stderr
    assert "deployments.csv, line 2, column deployment_type: found 'Standrad'" in failed.stderr
    assert KEY[:12] not in failed.stderr
    assert "Traceback" not in failed.stderr


def test_land_says_what_changed_and_a_second_time_that_nothing_did(tmp_path: Path) -> None:
    write(tmp_path / "reference", "subscriptions.csv", HEADER, "sub-1,Shop chat,Checkout,")
    first, second = (subscriptions(tmp_path, "land").stdout.splitlines() for _ in range(2))
    assert [line.split()[:2] for line in first] == [
        ["subscriptions", "replaced"],
        ["deployments", "replaced"],
        ["prices", "replaced"],
    ]
    assert [line.split()[1] for line in second] == ["unchanged"] * 3
    there = Lake(str(tmp_path / "lake")).existing(SUBSCRIPTIONS).scan().collect()
    assert there["team"].to_list() == ["Checkout"]


def test_land_of_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "reference", "subscriptions.csv", HEADER, "sub-1,Shop chat,,")
    failed = subscriptions(tmp_path, "land")
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: ")
    assert not (tmp_path / "lake").exists()


@pytest.fixture
def api() -> Iterator[ManagementApi]:
    with management_api() as running:
        yield running


@pytest.fixture
def identity() -> Iterator[dict[str, str]]:
    """The settings of a managed identity whose service, as App Service has it, gives out the token."""
    with management_api() as service:
        expires = str(int(time.time()) + 3600)
        token = {"access_token": TOKEN, "expires_on": expires, "resource": "x", "token_type": "Bearer"}
        service.answers = [Answer(token, headers={"Content-Type": "application/json"})]
        yield {
            "IDENTITY_ENDPOINT": f"{service.endpoint}/msi/token",
            "IDENTITY_HEADER": "secret",
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        }
        assert all("resource=http" in path for path, _ in service.requests)


def imported(
    folder: Path, api: ManagementApi, settings: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    names = ("--subscription-id", "azure-1", "--resource-group", "rg", "--service", "gateway")
    return subscriptions(folder, "import", "--from-apim", *names, "--endpoint", api.endpoint, **settings)


def test_import_writes_what_is_new_to_a_file_of_its_own(
    tmp_path: Path, api: ManagementApi, identity: dict[str, str]
) -> None:
    reference = tmp_path / "reference"
    mine = write(reference, "subscriptions.csv", HEADER, "sub-1,Mine,Checkout,")
    before = mine.read_bytes()
    api.answers = [
        listed("sub-3", "sub-1", next_link=f"{api.endpoint}/next?api-version=2022-08-01"),
        listed("sub-2", displayName="=HYPERLINK(\n1)", primaryKey=KEY),
    ]
    done = imported(tmp_path, api, identity)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 of 3 subscriptions are new. Fill in their team" in done.stdout
    assert api.tokens == {f"Bearer {TOKEN}"}
    assert mine.read_bytes() == before
    lines = (reference / IMPORTED).read_text().splitlines()
    assert lines[0].startswith("# Fill in team")
    assert lines[1] == ",".join(SUBSCRIPTIONS.schema)
    assert lines[2:] == ["sub-2,'=HYPERLINK( 1),,,ann,,,", "sub-3,Team of sub-3,,,ann,,,"]
    assert not any(secret in done.stdout + "".join(lines) for secret in (KEY, TOKEN))


def test_what_was_imported_only_lacks_its_teams(
    tmp_path: Path, api: ManagementApi, identity: dict[str, str]
) -> None:
    api.answers = [listed("sub-1", "sub-2")]
    imported(tmp_path, api, identity)
    reference = tmp_path / "reference"
    (reference / IMPORTED).rename(reference / "subscriptions.csv")
    said = refusal(read_subscriptions, reference)
    assert said.count("column team: is empty, but required") == 2
    assert "has 2 faults" in said


def test_import_never_replaces_a_file_that_may_have_been_worked_on(
    tmp_path: Path, api: ManagementApi, identity: dict[str, str]
) -> None:
    write(tmp_path / "reference", IMPORTED, "mine")
    api.answers = [listed("sub-1")]
    failed = imported(tmp_path, api, identity)
    assert failed.returncode == 1
    assert "is there already, perhaps with work in it" in failed.stderr
    assert (tmp_path / "reference" / IMPORTED).read_text() == "mine\n"


def test_import_with_nothing_new_writes_nothing(
    tmp_path: Path, api: ManagementApi, identity: dict[str, str]
) -> None:
    write(tmp_path / "reference", "subscriptions.csv", HEADER, "sub-1,Mine,Checkout,")
    api.answers = [listed("sub-1")]
    done = imported(tmp_path, api, identity)
    assert "Nothing is new: subscriptions.csv names every subscription of gateway" in done.stdout
    assert not (tmp_path / "reference" / IMPORTED).exists()


def test_import_that_is_refused_is_one_message(
    tmp_path: Path, api: ManagementApi, identity: dict[str, str]
) -> None:
    api.answers = [Answer("", 403)]
    failed = imported(tmp_path, api, identity)
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: You may not list the subscriptions of gateway (403)")
    assert TOKEN not in failed.stderr


def test_import_without_a_sign_in_is_one_message(tmp_path: Path, api: ManagementApi) -> None:
    failed = imported(tmp_path, api, {"AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"})
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: Entra ID gave no token for Azure's management API: sign in with")
    assert len(failed.stderr.splitlines()) == 1
    assert api.requests == []
