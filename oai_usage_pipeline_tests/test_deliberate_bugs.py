"""The checks are checked: each classic mistake, made on purpose in a copy of the package, fails a test."""

from pathlib import Path

import pytest

from stress.deliberate_bugs import BUGS, Bug, Edit, StaleBug, copy_of_the_repository, failed_tests


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_mistake_is_caught(bug: Bug, tmp_path: Path) -> None:
    copy = copy_of_the_repository(tmp_path)
    bug.plant(copy)
    assert failed_tests(copy, bug.caught_by), f"no test of {', '.join(bug.caught_by)} sees it: {bug.name}"


def test_without_a_mistake_the_same_tests_pass(tmp_path: Path) -> None:
    copy = copy_of_the_repository(tmp_path)
    tests = {test for bug in BUGS for test in bug.caught_by}
    assert failed_tests(copy, tuple(sorted(tests))) == []


def test_a_mistake_that_no_longer_fits_the_code_is_told(tmp_path: Path) -> None:
    copy = copy_of_the_repository(tmp_path)
    stale = Bug("stale", (Edit("oai_usage_pipeline/capture/commit.py", "no such line", ""),), ())
    with pytest.raises(StaleBug, match="has 0 times, not once"):
        stale.plant(copy)
