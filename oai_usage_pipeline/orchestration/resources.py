"""What assets, checks and sensors work with: the hub, the lake and the key fingerprint.

Belongs here: making them from the settings at the moment of use, so that definitions load without
network, environment or secrets. Tests hand in a resource of their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from oai_usage_pipeline.capture.event_hub import EventHubSource
from oai_usage_pipeline.capture.landing import Keep
from oai_usage_pipeline.capture.source import Source
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.privacy.forgetting import Forgetting
from oai_usage_pipeline.privacy.keeping import keep_of
from oai_usage_pipeline.settings import Settings
from oai_usage_pipeline.usage.fingerprint import KeyFingerprint


class Pipeline(dg.ConfigurableResource[None]):
    """The pipeline's ends, made from the environment (see the README's settings table)."""

    def settings(self) -> Settings:
        """The settings as they are now; raises ConfigurationError."""
        return Settings.load()

    def lake(self) -> Lake:
        """Where the tables are."""
        return Lake(self.settings().lake_location)

    def reference_folder(self) -> Path:
        """Where the reference files are; it need not exist."""
        return self.settings().reference_location

    def fingerprint(self) -> KeyFingerprint:
        """What callers' keys are replaced with."""
        settings = self.settings()
        return KeyFingerprint(settings.pepper, settings.key_pepper_version, settings.previous_pepper)

    def keep(self) -> Keep:
        """What takes texts out of events before they are written, by the setting and by what was erased."""
        return Forgetting(self.lake(), self.fingerprint(), keep_of(self.settings().payloads))

    def forget(self) -> Forgetting:
        """What takes texts out of rows that are put back as they were, by what was erased."""
        return Forgetting(self.lake(), self.fingerprint())

    @contextmanager
    def source(self) -> Iterator[Source]:
        """The hub, with its connections closed afterwards."""
        source = EventHubSource(self.settings())
        try:
            yield source
        finally:
            source.close()
