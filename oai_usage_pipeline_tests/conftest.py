"""How the tests are spread over the machine.

Belongs here: what holds for every test. Fixtures stand beside the tests that use them.
"""

import os


def pytest_xdist_auto_num_workers() -> int:
    """Workers for `-n auto`: three to two cores, for much of what the tests do is to wait for deadlines."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + (cores + 1) // 2
