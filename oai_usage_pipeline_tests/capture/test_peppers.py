"""A lake knows its peppers: one that contradicts its fingerprints writes nothing."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.capture.peppers import check_pepper
from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.errors import ConfigurationError, NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import KEY_PEPPERS, OPENAI_EVENTS
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint
from oai_usage_pipeline_tests.capture.list_source import ListSource, event

FIRST, SECOND, THIRD = b"the first pepper", b"the second pepper", b"the third pepper"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def run(lake: Lake, fingerprint: KeyFingerprint, count: int = 3) -> None:
    CaptureRun(ListSource({"0": [event(number) for number in range(count)]}), lake, fingerprint).execute()


def versions(lake: Lake) -> list[int]:
    return lake.existing(KEY_PEPPERS).scan().collect()["pepper_version"].sort().to_list()


def test_a_version_is_recorded_once_with_six_hexadecimals_of_its_pepper(lake: Lake) -> None:
    fingerprint = KeyFingerprint(FIRST, 1)
    run(lake, fingerprint, count=3)
    run(lake, fingerprint, count=5)
    rows = lake.existing(KEY_PEPPERS).scan().collect()
    assert rows.select("pepper_version", "check_value").rows() == [(1, fingerprint.check_value)]
    assert len(fingerprint.check_value) == 6
    assert fingerprint.check_value != KeyFingerprint(SECOND, 1).check_value


def test_a_check_value_is_part_of_no_fingerprint() -> None:
    fingerprint = KeyFingerprint(FIRST, 1)
    assert fingerprint.check_value not in fingerprint.of("check value of this pepper")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            KeyFingerprint(SECOND, 1),
            "fingerprints of version 1 were made with: it is one that this lake doesn't know",
        ),
        (KeyFingerprint(FIRST, 2), "OAI_USAGE_KEY_PEPPER is the pepper of version 1 in this lake"),
        (
            KeyFingerprint(SECOND, 2, previous=THIRD),
            "OAI_USAGE_KEY_PEPPER_PREVIOUS is not the pepper that this lake's fingerprints of version 1 were",
        ),
        (
            KeyFingerprint(SECOND, 3, previous=FIRST),
            "last are of version 1. Versions count by one: set OAI_USAGE_KEY_PEPPER_VERSION to 2",
        ),
        (
            KeyFingerprint(SECOND, 2),
            "calls of the keys in use. Set it to the pepper of version 1, until those keys have been seen",
        ),
        (KeyFingerprint(SECOND, 7), "Versions count by one: set OAI_USAGE_KEY_PEPPER_VERSION to 2"),
    ],
    ids=[
        "another pepper",
        "another version",
        "another previous pepper",
        "a version left out",
        "no previous pepper",
        "versions left out, no previous pepper",
    ],
)
def test_a_pepper_that_contradicts_the_lake_captures_nothing(
    lake: Lake, wrong: KeyFingerprint, message: str
) -> None:
    run(lake, KeyFingerprint(FIRST, 1), count=3)
    with pytest.raises(ConfigurationError) as refused:
        run(lake, wrong, count=5)
    assert message in str(refused.value)
    assert lake.existing(OPENAI_EVENTS).row_count() == 3
    assert versions(lake) == [1]


def test_the_pepper_of_an_older_version_is_named(lake: Lake) -> None:
    run(lake, KeyFingerprint(FIRST, 1), count=3)
    run(lake, KeyFingerprint(SECOND, 2, previous=FIRST), count=4)
    with pytest.raises(ConfigurationError, match="it is that of version 1"):
        run(lake, KeyFingerprint(FIRST, 2), count=5)


def test_no_message_shows_a_pepper_or_its_check_value(lake: Lake) -> None:
    run(lake, KeyFingerprint(FIRST, 1))
    for wrong in (KeyFingerprint(SECOND, 1), KeyFingerprint(FIRST, 2), KeyFingerprint(SECOND, 2, THIRD)):
        with pytest.raises(ConfigurationError) as refused:
            run(lake, wrong, count=5)
        for secret in (FIRST.decode(), SECOND.decode(), THIRD.decode(), wrong.check_value):
            assert secret not in str(refused.value)


def test_renewed_peppers_are_taken_and_once_known_need_no_previous_one(lake: Lake) -> None:
    run(lake, KeyFingerprint(FIRST, 1), count=3)
    run(lake, KeyFingerprint(SECOND, 2, previous=FIRST), count=4)
    run(lake, KeyFingerprint(FIRST, 1), count=5)
    run(lake, KeyFingerprint(SECOND, 2), count=6)
    run(lake, KeyFingerprint(THIRD, 3, previous=SECOND), count=7)
    assert versions(lake) == [1, 2, 3]
    assert lake.existing(OPENAI_EVENTS).row_count() == 7


def test_of_a_lake_without_a_record_the_previous_pepper_is_believed_not_recorded(lake: Lake) -> None:
    # It may be mistyped: if it were recorded, its correction would be refused.
    run(lake, KeyFingerprint(SECOND, 2, previous=THIRD), count=3)
    run(lake, KeyFingerprint(SECOND, 2, previous=FIRST), count=5)
    assert versions(lake) == [2]


def test_of_two_first_runs_with_different_peppers_one_is_refused(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, others = Lake.table, [KeyFingerprint(SECOND, 1)]

    def overtaken(self: Lake, contract: object) -> object:
        handle = table(self, contract)  # type: ignore[arg-type]  # as it came
        if others:
            check_pepper(self, others.pop())
        return handle

    monkeypatch.setattr(Lake, "table", overtaken)
    with pytest.raises(ConfigurationError, match="is not the pepper"):
        check_pepper(lake, KeyFingerprint(FIRST, 1))
    assert len(versions(lake)) == 1


def test_nothing_is_asked_or_recorded_when_nothing_is_to_be_captured(lake: Lake) -> None:
    CaptureRun(ListSource({"0": []}), lake, KeyFingerprint(FIRST, 1)).execute()
    with pytest.raises(NoTable):
        lake.existing(KEY_PEPPERS)


def test_the_record_says_when(lake: Lake) -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    check_pepper(lake, KeyFingerprint(FIRST, 1), lambda: now)
    assert lake.existing(KEY_PEPPERS).scan().select(pl.col("first_used_at")).collect().item() == now
