"""A measurement in a process of its own, so that none inherits another's memory, threads or caches.

Belongs here: starting one and reading its result. What is measured belongs to the function named.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

Result = dict[str, float]

PEAK_MEMORY = "peak_memory_bytes"
CPU_SECONDS = "cpu_seconds"

_STATUS = Path("/proc/self/status")


def measured(function: str, environment: Mapping[str, str] | None = None, **arguments: Any) -> Result:  # noqa: ANN401 - whatever JSON can carry
    """Call `module:name` of this package in a fresh interpreter; its result, with the processor time
    of the call and the peak of memory.

    Raises CalledProcessError when it fails; what it says stands on stderr.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", function],
        input=json.dumps(arguments),
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        text=True,
        check=True,
    )
    result: Result = json.loads(ended.stdout.splitlines()[-1])
    return result


def _answer(function: str) -> None:
    module, _, name = function.partition(":")
    call = getattr(import_module(f"benchmarks.{module}"), name)
    started = time.process_time()
    result = call(**json.load(sys.stdin))
    print(json.dumps({**result, PEAK_MEMORY: _peak_memory(), CPU_SECONDS: time.process_time() - started}))


def _peak_memory() -> int:
    """Bytes. The kernel's `ru_maxrss` would count the parent's memory at the fork too."""
    if _STATUS.exists():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    _answer(sys.argv[1])
