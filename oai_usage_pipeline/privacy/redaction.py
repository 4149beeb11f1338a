"""What personal data looks like in a text, and what stands in its place: Presidio's pattern recognisers.

Belongs here: which recognisers, and the time that they may take. No language model is used or downloaded:
names and addresses of people, which only one could tell, stay. Which strings are texts is for
`usage.redacting`.
"""

import re
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any

from oai_usage_pipeline.errors import ConfigurationError

MOST_SECONDS = 2.0
"""What redacting one event may take, of a processor."""

MOST_SECONDS_A_BATCH = 30.0
"""What redacting all events of a batch may take together: without a commit, a capture gets nowhere. A full
batch of ordinary events takes a third of it."""

LONGEST_PIECE = 16_384
"""Characters that are searched at once, so that the time can be looked at in between."""

LONGEST_REMEMBERED = 4096
"""Characters of a text whose redaction is remembered: system prompts are the same in call after call."""

OVERLAP = 128
"""Characters that pieces have in common: nothing that is looked for is longer."""

_LEAST_SCORE = 0.4
_PHONE_REGIONS = ("US", "GB", "DE", "FR", "IN", "BR")
"""Whose national numbers are known without their country's prefix."""

# What a text must hold to be searched: patterns that Python matches in microseconds. Phones alone are then
# searched in what was found; Presidio takes 15 ms for a kilobyte of them.
_MAY_BE_ANYTHING = re.compile(r"[0-9@]|::")
_MAY_BE_PHONE = re.compile(r"[+(]?\d[\d ()./\-\u00a0]{5,30}\d")
_MAY_BE = {
    "EmailRecognizer": re.compile("@"),
    "CreditCardRecognizer": re.compile(r"(?:\d[ -]?){12}"),
    "IbanRecognizer": re.compile(r"\d{2}[ A-Z0-9-]{9}", re.IGNORECASE),
    "IpRecognizer": re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d|:[0-9a-f]{0,4}:", re.IGNORECASE),
    "MacAddressRecognizer": re.compile(r"[:-][0-9a-f]{2}[:-]|\.[0-9a-f]{4}\.", re.IGNORECASE),
    "UsSsnRecognizer": re.compile(r"\b\d{3}-\d{2}-\d{4}\b"),
}


class TooSlow(Exception):  # an event's property, never a failure of the pipeline
    """Redacting one event, or those of its batch, took longer than it may."""


class Redactor:
    """Replaces personal data by its kind, such as ``<EMAIL_ADDRESS>``; one event at a time."""

    def __init__(
        self,
        most_seconds: float = MOST_SECONDS,
        most_seconds_a_batch: float = MOST_SECONDS_A_BATCH,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """Raises ConfigurationError where Presidio isn't installed."""
        self._recognisers, self._phones, self._engine = _presidio()
        self._most_seconds = most_seconds
        self._most_seconds_a_batch = most_seconds_a_batch
        self._clock = clock
        self.begin_batch()
        self.begin()
        self._remembered = lru_cache(maxsize=2048)(self._redact)

    def begin_batch(self) -> None:
        """From here on, the time of the next batch runs."""
        self._batch_ends = self._clock() + self._most_seconds_a_batch

    def begin(self) -> None:
        """From here on, the next event's time runs; raises TooSlow where its batch has none left."""
        self._ends = min(self._clock() + self._most_seconds, self._batch_ends)
        self._look_at_the_clock()

    def __call__(self, text: str) -> str:
        """The text without the personal data in it; raises TooSlow."""
        if len(text) < 6:
            return text
        return self._remembered(text) if len(text) < LONGEST_REMEMBERED else self._redact(text)

    def _redact(self, text: str) -> str:
        found = [each for start in range(0, len(text), LONGEST_PIECE) for each in self._search(text, start)]
        if not found:
            return text
        return str(self._engine.anonymize(text, found).text)

    def _search(self, text: str, start: int) -> Iterator[Any]:
        piece = text[start : start + LONGEST_PIECE + OVERLAP]
        if not _MAY_BE_ANYTHING.search(piece):
            return
        for recogniser in self._recognisers:
            if _MAY_BE[type(recogniser).__name__.removeprefix("Offline")].search(piece):
                yield from self._told(recogniser, piece, start)
        for digits in _MAY_BE_PHONE.finditer(piece):
            yield from self._told(self._phones, digits[0], start + digits.start())
        self._look_at_the_clock()

    def _told(self, recogniser: Any, piece: str, start: int) -> Iterator[Any]:  # noqa: ANN401 - Presidio's own
        for each in recogniser.analyze(piece, recogniser.supported_entities, None) or ():
            if each.score >= _LEAST_SCORE:
                each.start, each.end = each.start + start, each.end + start
                yield each
        self._look_at_the_clock()

    def _look_at_the_clock(self) -> None:
        if self._clock() > self._ends:
            raise TooSlow


@lru_cache(maxsize=1)
def _presidio() -> tuple[list[Any], Any, Any]:
    # Not at import: Presidio takes seconds to load, and few ask for it.
    try:
        patterns: Any = import_module("presidio_analyzer.pattern_recognizer")
        known: Any = import_module("presidio_analyzer.predefined_recognizers")
        engine = import_module("presidio_anonymizer").AnonymizerEngine
        suffixes = import_module("tldextract").TLDExtract(suffix_list_urls=(), cache_dir=None)
    except ImportError:
        raise ConfigurationError(
            "OAI_USAGE_PAYLOADS is 'redacted', but Presidio is not installed: install the extra, "
            "pip install 'oai-usage-pipeline[redaction]', or set it to 'accounting'"
        ) from None
    # A pattern that takes longer finds nothing, in silence; the time is looked at behind each.
    patterns.REGEX_TIMEOUT_SECONDS = int(MOST_SECONDS)

    class OfflineEmailRecognizer(known.EmailRecognizer):  # type: ignore[misc]  # known by name alone
        """Presidio's, which asks the network for the list of public suffixes; the shipped one does."""

        def validate_result(self, pattern_text: str) -> bool:
            """Whether the address ends in a domain that there may be."""
            return bool(suffixes(pattern_text).fqdn)

    recognisers = [OfflineEmailRecognizer()]
    recognisers += [getattr(known, name)() for name in _MAY_BE if name != "EmailRecognizer"]
    return recognisers, known.PhoneRecognizer(supported_regions=_PHONE_REGIONS), engine()
