"""The bugs that the tests are there for, made on purpose in a copy of the package, one at a time.

Each is the classic mistake of a capture that believes to be exact; each must make a named, fast test fail.
Belongs here: the bugs, how one is planted, and whether it is caught. The work tree is never touched.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
COPIED = ("oai_usage_pipeline", "oai_usage_pipeline_tests", "pyproject.toml")


class StaleBug(Exception):
    """The code that a bug changes isn't there (once) any more: the bug must be written anew."""


@dataclass(frozen=True)
class Edit:
    """`old`, which stands once in the file, becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Bug:
    """A mistake, and the tests of which at least one must fail with it."""

    name: str
    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]

    def plant(self, copy: Path) -> None:
        """Make the mistake in a copy of the repository; raises StaleBug when it doesn't fit the code."""
        for edit in self.edits:
            file = copy / edit.file
            text = file.read_text()
            if text.count(edit.old) != 1:
                raise StaleBug(
                    f"{self.name}: {edit.file} has {text.count(edit.old)} times, not once:\n{edit.old}"
                )
            file.write_text(text.replace(edit.old, edit.new))


COMMIT = "oai_usage_pipeline/capture/commit.py"
BACKLOG = "oai_usage_pipeline/capture/backlog.py"
TEST_COMMIT = "oai_usage_pipeline_tests/capture/test_commit.py"
TEST_METERING = "oai_usage_pipeline_tests/usage/test_metering.py"
TEST_RUN = "oai_usage_pipeline_tests/capture/test_run.py"
APPEND = "table.append(keep(fresh), moved, sound_at=sound_at)  # Step 3."
POSITIONS = "moved"

BUGS = (
    Bug(
        "position committed before the rows",
        (Edit(COMMIT, APPEND, f"table.append(fresh.clear(), {POSITIONS}); table.append(fresh, {{}})"),),
        (f"{TEST_COMMIT}::test_rows_and_positions_of_several_partitions_share_one_commit",),
    ),
    Bug(
        "no position check",
        (
            Edit(
                COMMIT,
                'fresh = batch.filter(position.is_null() | (pl.col("sequence_number") > position))',
                "fresh = batch.filter(position.is_null() | position.is_not_null())",
            ),
            Edit(
                COMMIT,
                "start = begins.get(partition_id, numbers.item(0) - 1) if last is None else last",
                "start = numbers.item(0) - 1",
            ),
        ),
        (f"{TEST_COMMIT}::test_the_same_batch_twice_is_in_bronze_once",),
    ),
    Bug(
        "`if position:`, for which 0 is none",
        (
            Edit(
                COMMIT,
                "return {each: table.position(hub.app_id(each)) for each",
                "return {each: table.position(hub.app_id(each)) or None for each",
            ),
        ),
        (f"{TEST_COMMIT}::test_position_zero_is_a_position",),
    ),
    Bug(
        "naive retry",
        (
            Edit(
                COMMIT,
                "            wait_to_repeat(attempt, error, pause)\n",
                "            wait_to_repeat(attempt, error, pause)\n"
                f"            open_table().append(fresh, {POSITIONS})\n            return ranges\n",
            ),
        ),
        (f"{TEST_COMMIT}::test_a_reply_lost_after_the_commit_does_not_double_the_batch",),
    ),
    Bug(
        "start at latest",
        (
            Edit(
                BACKLOG,
                "        if self.position is not None:\n            return self.position\n",
                "        return self.bounds.last if self.position is None else self.position\n",
            ),
        ),
        (f"{TEST_RUN}::test_all_partitions_are_captured_in_commits_that_they_share",),
    ),
    Bug(
        "lax integers",
        (
            Edit(
                "oai_usage_pipeline/usage/tokens.py",
                "Count = Annotated[int, Field(strict=True, ge=0, lt=2**63)]",
                "Count = Annotated[int, Field(strict=False, ge=0, lt=2**63)]",
            ),
            Edit(
                "oai_usage_pipeline/usage/tokens.py",
                'STRICT = ConfigDict(strict=True, extra="ignore"',
                'STRICT = ConfigDict(strict=False, extra="ignore"',
            ),
        ),
        (f"{TEST_METERING}::test_a_count_that_is_no_plain_number_is_refused_never_coerced",),
    ),
    Bug(
        "no gap check",
        (
            Edit(
                COMMIT,
                "if (error := gap(hub, partition_id, last, number, acknowledged)) is not None:",
                "if False:",
            ),
            Edit(COMMIT, "            raise error\n", "            raise AssertionError\n"),
        ),
        (
            f"{TEST_COMMIT}::test_a_gap_is_refused_with_its_exact_range_and_nothing_is_written",
            f"{TEST_COMMIT}::test_a_hole_inside_a_batch_is_a_gap",
        ),
    ),
    Bug(
        "rejected rows in another commit than the position",
        (
            Edit(
                COMMIT,
                APPEND,
                f"table.append(fresh.filter(pl.col('reason').is_null()), {POSITIONS}); "
                "table.append(fresh.filter(pl.col('reason').is_not_null()), {})",
            ),
        ),
        (f"{TEST_COMMIT}::test_rejected_rows_share_the_commit_of_their_position",),
    ),
)


def copy_of_the_repository(folder: Path) -> Path:
    """The code and its tests, to be spoilt."""
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, folder / name)
    return folder


def failed_tests(copy: Path, tests: tuple[str, ...]) -> list[str]:
    """Run tests of a copy until one fails; which did, by name. Raises AssertionError when they can't run."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-rf", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        command,
        cwd=copy,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode not in (0, 1):
        raise AssertionError(f"the tests could not be run:\n{ended.stdout}")
    return [line.split(" ")[1] for line in ended.stdout.splitlines() if line.startswith("FAILED ")]
