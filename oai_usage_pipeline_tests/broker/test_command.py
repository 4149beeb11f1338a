"""`oai-usage broker`: its options, its one line of output, and what it refuses."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from oai_usage_pipeline.cli import main
from oai_usage_pipeline_tests.running_broker import RunningBroker, producer


def refused(*options: str) -> str:
    result = CliRunner().invoke(main, ["broker", *options])
    assert result.exit_code != 0
    return result.output


def test_it_prints_its_connection_string_on_a_line_of_its_own(tmp_path: Path) -> None:
    with RunningBroker(tmp_path, options=["--sas-key", "me=c2VjcmV0"]) as broker:
        assert broker.connection_string == (
            f"Endpoint=sb://127.0.0.1:{broker.port};SharedAccessKeyName=me;SharedAccessKey=c2VjcmV0;"
            "UseDevelopmentEmulator=true;"
        )
        port = broker.port
        broker.restart()
        assert broker.port == port


def test_each_hub_has_its_own_number_of_partitions(tmp_path: Path) -> None:
    with RunningBroker(
        tmp_path, hubs=["one"], partitions=1, options=["--hub", "Three", "--partitions", "3"]
    ) as broker:
        for hub, count in (("one", 1), ("Three", 3), ("three", 3)):
            with producer(broker, hub) as client:
                assert len(client.get_partition_ids()) == count


def test_settings_that_can_not_be_meant_are_refused(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path)]
    assert "not a loopback address" in refused(*data, "--hub", "hub", "--host", "0.0.0.0")
    assert "can't be the name of a hub" in refused(*data, "--hub", "../hub")
    assert "a name of its own" in refused(*data, "--hub", "hub", "--hub", "HUB")
    assert "--partitions once" in refused(
        *data, "--hub", "a", "--hub", "b", "--hub", "c", "--partitions", "1", "--partitions", "2"
    )
    assert "NAME=KEY" in refused(*data, "--hub", "hub", "--sas-key", "no-name")
    assert "Missing option '--hub'" in refused(*data)
    file = tmp_path / "file"
    file.touch()
    assert "can't be the data folder" in refused("--data", str(file / "sub"), "--hub", "hub")


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with RunningBroker(tmp_path / "first") as broker:
        message = refused("--data", str(tmp_path / "second"), "--hub", "hub", "--port", str(broker.port))
    assert "Can't listen" in message


def test_it_answers_before_the_heavy_parts_of_the_pipeline_are_imported() -> None:
    script = "import sys, oai_usage_pipeline.cli.broker; print(*sorted(sys.modules))"
    modules = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"dagster", "polars", "deltalake", "azure.eventhub"} & set(modules)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_status_zero(tmp_path: Path, number: signal.Signals) -> None:
    broker = RunningBroker(tmp_path)
    broker.start()
    broker.signal(number)
    assert broker.wait() == 0
