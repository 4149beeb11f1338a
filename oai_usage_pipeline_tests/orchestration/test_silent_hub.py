"""`oai-usage run` told to end while the hub is silent: it ends soon, with whole batches or none."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from oai_usage_pipeline.audit.invariants import nothing_doubled, nothing_lost, positions_match
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS
from oai_usage_pipeline_tests.running_broker import RunningBroker, send

PATIENCE = 140.0
"""Seconds; on a machine that has much to do, the command alone takes a minute to start."""


@pytest.mark.parametrize(
    ("order", "number", "captured"),
    [
        ("silence:on=connect,every=0", signal.SIGTERM, 0),
        ("silence:at=50,every=0,partition=0", signal.SIGINT, 51),
    ],
)
def test_a_signal_ends_the_run_within_30_s(
    tmp_path: Path, order: str, number: signal.Signals, captured: int
) -> None:
    with RunningBroker(tmp_path / "broker", partitions=2) as broker:
        send(broker, [b"{}"] * 100, partition_id="0")
        send(broker, [b"{}"], partition_id="1")
        broker.options = ("--misbehave", order)
        broker.restart()
        run = started(tmp_path, broker)
        lake = Lake(str(tmp_path / "lake"))
        try:
            wait_until(lambda: is_connected(run.pid, broker.port) and landed(lake) == captured)
            assert run.poll() is None
            run.send_signal(number)
            sent_at = time.monotonic()
            run.wait(timeout=60)
            assert time.monotonic() - sent_at <= 30
        finally:
            run.kill()
            said = run.communicate()[0]
    assert run.returncode != 0, said
    assert landed(lake) == captured
    for invariant in (nothing_lost, nothing_doubled, positions_match) if captured else ():
        assert invariant(lake).holds, invariant(lake).sentence


def started(folder: Path, broker: RunningBroker) -> "subprocess.Popen[str]":
    # SIGINT at its default: a shell in the background would have it ignored, and children inherit that.
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from oai_usage_pipeline.cli import main; main()"
    )
    environment = os.environ | {
        "OAI_USAGE_EVENT_HUB_CONNECTION_STRING": broker.connection_string,
        "OAI_USAGE_EVENT_HUB_NAME": "hub",
        "OAI_USAGE_LAKE_URI": str(folder / "lake"),
        "DAGSTER_HOME": str(folder / "dagster"),
    }
    (folder / "dagster").mkdir()
    return subprocess.Popen(
        [sys.executable, "-c", script, "run", "--until-idle"],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def is_connected(pid: int, port: int) -> bool:
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    return any(each.raddr and each.raddr.port == port for each in connections)


def landed(lake: Lake) -> int:
    try:
        return lake.existing(OPENAI_EVENTS).scan().collect().height
    except Exception:  # noqa: BLE001 - being made at this very moment
        return 0


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not come that far"
        time.sleep(0.2)
