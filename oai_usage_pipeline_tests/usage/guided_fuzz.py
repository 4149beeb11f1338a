"""The fuzzer guided by atheris: what reached a branch of `usage` for the first time is changed on.

Only the guidance belongs here: it takes a process of its own, since atheris changes the code while that
is imported, and ends the process when it is done. What is checked is `fuzz`'s, and how inputs change,
`mutations`'.
"""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from random import Random
from time import perf_counter

from oai_usage_pipeline_tests.usage.fuzz import Figures
from oai_usage_pipeline_tests.usage.mutations import mutated, seeds

_LONGEST = 50_000
_REACHED = re.compile(r"\bcov: (\d+)")


def guided_fuzz(inputs: int, seed: int = 1) -> Figures:
    """Try so many inputs; the figures say how many branches were reached.

    Raises ModuleNotFoundError without atheris, RuntimeError with what the child said when it failed.
    """
    if find_spec("atheris") is None:
        raise ModuleNotFoundError("atheris is not installed; it has wheels for Linux: pip install atheris")

    with tempfile.TemporaryDirectory() as folder:
        result, corpus = Path(folder, "figures.json"), Path(folder, "seeds")
        corpus.mkdir()
        # All of a short run's inputs would be seeds.
        for number, body in enumerate(seeds(Random(seed))[: max(inputs // 4, 1)]):
            (corpus / str(number)).write_bytes(body)
        command = [sys.executable, "-m", __name__, str(inputs), str(seed), str(corpus), str(result)]
        child = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if not result.exists():
            raise RuntimeError(f"atheris ended with {child.returncode}: {child.stderr[-2000:]}")
        reached = _REACHED.findall(child.stderr)
        return Figures(**json.loads(result.read_text(encoding="utf-8")) | {"edges": int(reached[-1])})


def _child(inputs: int, seed: int, corpus: str, result: Path) -> None:
    import atheris  # type: ignore[import-untyped]  # it has no types

    # What is imported already wouldn't be instrumented.
    for name in [name for name in sys.modules if name.startswith("oai_usage_pipeline")]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["oai_usage_pipeline.usage"]):
        from oai_usage_pipeline_tests.usage.fuzz import Target

    # One by one: a branch belongs to the input that reached it.
    target, started, others = Target(lot=1), perf_counter(), seeds(Random(seed))

    def one(data: bytes) -> None:
        target.feed(data)
        if target.figures.inputs >= inputs - 1:
            result.write_text(json.dumps(asdict(target.counted(started))), encoding="utf-8")

    def change(data: bytes, longest: int, seed: int) -> bytes:
        random = Random(seed)
        return mutated(data, random, random.choice(others))[:longest]

    options = [f"-runs={inputs}", f"-seed={seed}", f"-max_len={_LONGEST}"]
    atheris.Setup([sys.argv[0], *options, corpus], one, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    _child(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
