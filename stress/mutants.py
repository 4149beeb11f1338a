"""`python -m stress.mutants`: the core modules changed line by line, and the changes that no test sees.

Cosmic Ray makes the changes, one at a time, in a copy of the repository, and runs the fast tests of the
module after each. Belongs here: which modules, with which tests, which changes, and the count.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.table import Table

from stress.deliberate_bugs import copy_of_the_repository

AIM = 0.9
TIMEOUT_SECONDS = 120
TESTS = "oai_usage_pipeline_tests"
CORE: dict[str, tuple[str, ...]] = {
    "capture/commit.py": ("capture/test_commit.py",),
    "capture/partition.py": ("capture/test_partition.py",),
    "capture/continuity.py": ("capture/test_continuity.py", "capture/test_partition.py"),
    "capture/gaps.py": ("capture/test_gaps.py",),
    "refresh/watermark.py": ("refresh/test_watermark.py",),
    "usage/tokens.py": ("usage/test_tokens.py", "usage/test_metering.py"),
    "usage/buckets.py": ("usage/test_buckets.py",),
}
LEFT_OUT = (
    # Of eleven other operators for each arithmetic one, the nearest says enough; the others fail louder.
    r"core/ReplaceBinaryOperator_(?!Add_Sub|Sub_Add|Mul_Div|Div_Mul|BitOr_BitAnd|BitAnd_BitOr|Pow_Mul)",
    # `is` for `==` and its kind: with small numbers and None the same.
    r"core/ReplaceComparisonOperator_(Eq|NotEq|Lt|LtE|Gt|GtE)_Is",
    r"core/ReplaceComparisonOperator_Is(Not)?_(Eq|NotEq|Lt|LtE|Gt|GtE)",
)


@dataclass(frozen=True)
class Survivor:
    """A change that no test saw: where it is, and the line as it was and as it became."""

    line: int
    operator: str
    diff: str


@dataclass
class Mutated:
    """What came of one module's mutants."""

    module: str
    killed: int = 0
    survivors: list[Survivor] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Killed of all."""
        total = self.killed + len(self.survivors)
        return self.killed / total if total else 1.0


@click.command()
@click.argument("modules", nargs=-1, type=click.Choice(list(CORE)))
@click.option("--at-once", type=click.IntRange(min=1), default=2, show_default=True)
@click.option(
    "--json", "path", type=click.Path(path_type=Path), default=Path("build/mutants.json"), show_default=True
)
def main(*, modules: Sequence[str], at_once: int, path: Path) -> None:
    """Mutate the core modules, or those named; fail where fewer than 90 % of the mutants are killed."""
    with ThreadPoolExecutor(at_once) as run:
        found = list(run.map(_mutated, modules or CORE))
    _show(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([_as_json(each) for each in found], indent=2) + "\n")
    if min(each.share for each in found) < AIM:
        raise SystemExit(1)


def _mutated(module: str) -> Mutated:
    with TemporaryDirectory(prefix="mutants-") as folder:
        copy = copy_of_the_repository(Path(folder))
        (copy / "session.toml").write_text(_configuration(module))
        for command in (
            ("cosmic_ray.cli", "init", "session.toml", "session.sqlite"),
            ("cosmic_ray.tools.filters.operators_filter", "session.sqlite", "session.toml"),
            ("cosmic_ray.cli", "baseline", "session.toml"),
            ("cosmic_ray.cli", "exec", "session.toml", "session.sqlite"),
        ):
            _run(copy, *command)
        dump = _run(copy, "cosmic_ray.cli", "dump", "session.sqlite")
    mutated = _count(module, dump)
    click.echo(f"{module}: {mutated.killed} killed, {len(mutated.survivors)} survived")
    return mutated


def _configuration(module: str) -> str:
    tests = " ".join(f"{TESTS}/{each}" for each in CORE[module])
    command = f"{sys.executable} -m pytest -n 0 -x -q -p no:cacheprovider {tests}"
    excluded = ", ".join(f"'{each}'" for each in LEFT_OUT)
    return f"""
[cosmic-ray]
module-path = "oai_usage_pipeline/{module}"
timeout = {TIMEOUT_SECONDS}
excluded-modules = []
test-command = "{command}"

[cosmic-ray.distributor]
name = "local"

[cosmic-ray.filters.operators-filter]
exclude-operators = [{excluded}]
"""


def _run(copy: Path, module: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise click.ClickException(f"{module} {' '.join(arguments)} failed: {ended.stdout}{ended.stderr}")
    return ended.stdout


def _count(module: str, dump: str) -> Mutated:
    mutated = Mutated(module)
    for work, result in map(json.loads, dump.splitlines()):
        outcome = "none" if result is None else result["worker_outcome"]
        if outcome == "skipped":
            continue
        if outcome not in ("normal", "exception"):
            raise click.ClickException(f"{module}: a mutant was not tried: {outcome}")
        if result["test_outcome"] == "survived":
            mutated.survivors.append(_survivor(work["mutations"][0], result["diff"]))
        else:
            mutated.killed += 1
    return mutated


def _survivor(mutation: dict[str, object], diff: str) -> Survivor:
    changed = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    start = mutation["start_pos"]
    assert isinstance(start, list)
    return Survivor(start[0], str(mutation["operator_name"]), "\n".join(changed))


def _show(found: Sequence[Mutated]) -> None:
    table = Table(title="Mutants of the core modules", title_justify="left")
    for heading in ("module", "mutants", "killed", "survived", "share killed"):
        table.add_column(heading, justify="left" if heading == "module" else "right")
    for each in found:
        total = each.killed + len(each.survivors)
        row = (total, each.killed, len(each.survivors), f"{each.share:.1%}")
        table.add_row(each.module, *map(str, row))
    console = Console(width=None if Console().is_terminal else 120, highlight=False)
    console.print(table)
    for line in _survivors(found):
        console.print(line, markup=False)


def _survivors(found: Sequence[Mutated]) -> Iterator[str]:
    for module in found:
        for each in module.survivors:
            yield f"{module.module}:{each.line} {each.operator}\n{each.diff}"


def _as_json(mutated: Mutated) -> dict[str, object]:
    return {
        "module": mutated.module,
        "killed": mutated.killed,
        "survivors": [vars(each) for each in mutated.survivors],
    }


if __name__ == "__main__":
    main()
