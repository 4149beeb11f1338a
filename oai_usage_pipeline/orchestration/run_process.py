"""Whether the process of a run is known to be gone, as far as that can be seen from this machine.

Belongs here: looking for the process, and for the code server that starts it. What a silent run means is for
`liveness`.
"""

import json
import os
import socket
import sys
from pathlib import Path

import dagster as dg

_SERVER_TAG = ".dagster/grpc_info"
"""Where the code server of a run is reached: `host`, and `port` or `socket` (DefaultRunLauncher)."""

_ANSWER_SECONDS = 2.0


def is_known_to_be_gone(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether nobody works on the run any more; False where it can't be known.

    Dagster notes a run's process number with its first event; before that, only the code server knows of it.
    """
    server = json.loads(run.tags.get(_SERVER_TAG, "{}"))
    if sys.platform == "win32" or not _is_here(server):
        return False
    if (process := _process_of(instance, run)) is not None:
        return not _is_running(process)
    return bool(server) and not _answers(server)


def _is_here(server: dict[str, object]) -> bool:
    """A run without a code server was started by a command that shares our storage."""
    return server.get("host", "localhost") in ("localhost", "127.0.0.1", "::1")


def _process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int | None:
    noted = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    for entry in reversed(noted):
        event = entry.dagster_event
        number = event.engine_event_data.metadata.get("pid") if event is not None else None
        if number is not None:
            return int(str(number.value))
    return None


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # One that ended, and for which nobody has asked yet, is still in the table.
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state not in ("Z", "X")


def _answers(server: dict[str, object]) -> bool:
    path = server.get("socket")
    family = socket.AF_INET if path is None else socket.AF_UNIX
    address = (str(server["host"]), int(str(server["port"]))) if path is None else str(path)
    with socket.socket(family, socket.SOCK_STREAM) as caller:
        caller.settimeout(_ANSWER_SECONDS)
        try:
            caller.connect(address)
        except TimeoutError:
            return True
        except OSError:
            return False
    return True
