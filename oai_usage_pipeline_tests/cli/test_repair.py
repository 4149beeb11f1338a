"""`oai-usage repair` as people call it: shown without a terminal, done with --yes, then nothing is left."""

from pathlib import Path

from click.testing import CliRunner, Result
from deltalake import DeltaTable

from oai_usage_pipeline.capture.run import CaptureRun
from oai_usage_pipeline.cli import main
from oai_usage_pipeline_tests.embedded_lake import embedded_lake


def oai_usage(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_a_restored_table_is_refused_shown_repaired_and_captured_into(tmp_path: Path) -> None:
    with embedded_lake(tmp_path / "stack") as lake:
        lake.send(60)
        lake.run()
        lake.send(60)
        with lake.pipeline.source() as source:
            CaptureRun(source, lake.pipeline.lake(), lake.pipeline.fingerprint()).execute()
        table = lake.stack.lake / "openai_events"
        DeltaTable(table).restore(1)
        version = DeltaTable(table).version()
        lake.send(30)
        refused = oai_usage("run", "--until-idle")
        assert refused.exit_code == 1
        for words in ("is not in the table", "RESTORE", "`oai-usage repair`"):
            assert words in refused.stderr
        assert "Traceback" not in refused.stderr
        shown = oai_usage("repair")
        assert shown.exit_code == 1
        assert shown.stdout.startswith("1. Put back what RESTORE at")
        assert shown.stdout.endswith("Nothing of this was done.\n")
        assert DeltaTable(table).version() == version
        done = oai_usage("repair", "--yes")
        assert (done.exit_code, done.stderr) == (0, "")
        assert "Done: Put back what RESTORE at" in done.stdout
        assert oai_usage("repair").stdout.startswith("Nothing is wrong:")
        lake.run()
        assert lake.compare().differences == []


def test_a_lake_without_a_table_is_one_message(tmp_path: Path) -> None:
    with embedded_lake(tmp_path / "stack"):
        failed = oai_usage("repair")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: There is no table openai_events")
