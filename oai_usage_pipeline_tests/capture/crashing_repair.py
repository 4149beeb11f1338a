"""A repair that ends itself with SIGKILL after so many of its steps: `python -m ... LAKE STEPS FIRST`."""

import os
import signal
import sys

from oai_usage_pipeline.capture.repair import Repair
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline_tests.capture.damage import FINGERPRINT, NOW, hub


def main(location: str, steps: str, first: str) -> None:
    done: list[str] = []

    def at_step(text: str) -> None:
        done.append(text)
        if str(len(done)) == steps:
            os.kill(os.getpid(), signal.SIGKILL)

    source = hub({"0": 50, "1": 25}, int(first))
    assert (
        Repair(source, Lake(location), FINGERPRINT, lambda: NOW, lambda _: True, at_step).execute().is_sound
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
