"""What bronze keeps of requests and responses, by the setting: all, redacted, or what accounting needs.

Belongs here: the choice. It is applied to rows on their way into bronze, before anything is written.
"""

from typing import Literal

import polars as pl

from oai_usage_pipeline.capture.landing import Keep, as_they_came
from oai_usage_pipeline.privacy.redaction import Redactor, TooSlow
from oai_usage_pipeline.usage.columns import Envelope
from oai_usage_pipeline.usage.payload import kept, without_texts
from oai_usage_pipeline.usage.redacting import redacted_event

Payloads = Literal["all", "redacted", "accounting"]


def keep_of(payloads: Payloads) -> Keep:
    """What the setting means; raises ConfigurationError for redaction without its library."""
    if payloads == "all":
        return as_they_came
    return without_texts if payloads == "accounting" else Redaction(Redactor())


class Redaction:
    """Rows with the personal data in their texts replaced, or less of them where that isn't possible."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of a batch as they are kept; `payload` says of each what was kept, and why no more."""
        self._redactor.begin_batch()
        return kept(rows, "redacted", self._redacted)

    def _redacted(self, event: Envelope) -> Envelope:
        try:
            self._redactor.begin()
            return redacted_event(event, self._redactor)
        except TooSlow:
            raise TimeoutError from None
