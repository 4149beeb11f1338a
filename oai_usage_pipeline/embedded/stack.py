"""Everything on one machine: a folder that holds hub, lake, Dagster's home and ledgers.

Belongs here: where things lie, and the environment that leads the pipeline to them. What is done
with them is for the commands `demo` and `dev`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from oai_usage_pipeline.broker.errors import BrokerError
from oai_usage_pipeline.broker.process import BrokerProcess
from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.settings import PREFIX

HUB = "openai-usage"


@dataclass(frozen=True)
class EmbeddedStack:
    """A folder of its own; running twice in it goes on where the first run ended."""

    folder: Path
    partitions: int = 4

    @property
    def lake(self) -> Path:
        """The tables."""
        return self.folder / "lake"

    @property
    def reference(self) -> Path:
        """The reference files: who the callers are."""
        return self.folder / "reference"

    @property
    def ledgers(self) -> list[Path]:
        """What was sent so far, oldest first."""
        return sorted(self.folder.glob("ledger-*.jsonl"))

    @property
    def seeds(self) -> list[int]:
        """The seeds of what was sent so far: the ledgers' numbers."""
        return [int(path.stem.removeprefix("ledger-")) for path in self.ledgers]

    def next_ledger(self) -> tuple[int, Path]:
        """Number and file of the next ledger; the number serves as seed, so that no two are alike."""
        number = 1 + max(self.seeds, default=0)
        return number, self.folder / f"ledger-{number:04}.jsonl"

    @contextmanager
    def running(self) -> Iterator[BrokerProcess]:
        """A broker on a free loopback port, and this process's environment led to it and the folder.

        Settings of a real deployment are hidden meanwhile: generated traffic must never reach it.
        Raises ConfigurationError when the folder can't be used or another broker uses it.
        """
        before = dict(os.environ)
        try:
            with BrokerProcess(self.folder / "hub", [HUB], self.partitions) as broker:
                for name in [name for name in os.environ if name.startswith(PREFIX)]:
                    del os.environ[name]
                os.environ.update(self._environment(broker))
                yield broker
        except BrokerError as error:
            raise ConfigurationError(f"The local broker could not be started. {error}") from None
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _environment(self, broker: BrokerProcess) -> dict[str, str]:
        return {
            f"{PREFIX}EVENT_HUB_CONNECTION_STRING": broker.connection_string,
            f"{PREFIX}EVENT_HUB_NAME": HUB,
            f"{PREFIX}LAKE_URI": str(self.lake.resolve()),
            f"{PREFIX}REFERENCE_FOLDER": str(self.reference.resolve()),
            "DAGSTER_HOME": str((self.folder / "dagster").resolve()),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }
