"""The process that is watched in a soak: passes through Dagster until idle, whenever it is told to go.

Belongs here: running passes and saying what they left of memory and handles.
"""

import gc
import json
import resource
import sys

import psutil

from oai_usage_pipeline.orchestration.instance import dagster_instance
from oai_usage_pipeline.orchestration.passes import run_until_idle
from oai_usage_pipeline.orchestration.resources import Pipeline


def main() -> None:
    """A line in, a pass, a line out."""
    own = psutil.Process()
    with dagster_instance() as instance:
        for _ in sys.stdin:
            passes = run_until_idle(instance, Pipeline())
            gc.collect()
            found = {
                "passes": passes,
                "memory_mb": own.memory_info().rss / 1e6,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
                "handles": own.num_fds(),
            }
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
