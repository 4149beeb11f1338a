"""When the generated calls happened: evenly through the last days, or paced like they are sent.

Pure arithmetic on the moment passed in; waiting for that moment belongs in `pace`.
"""

from dataclasses import dataclass
from datetime import datetime

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.traffic.material import Material
from oai_usage_pipeline.traffic.newtonsoft import TICKS_PER_SECOND, ticks_of

_HOUR = 3600 * TICKS_PER_SECOND
_UNPACED_STEP = TICKS_PER_SECOND // 1000
_FRACTION_UNITS = (1, 10, 10_000, 1_000_000, TICKS_PER_SECOND)
_FRACTION_WEIGHTS = (85, 9, 3, 2, 1)
_LATE_SHARE = 0.002


@dataclass(frozen=True)
class Timeline:
    """Event n happens within step n after `first_ticks` (100 ns since 1970, as are the steps)."""

    first_ticks: int
    step: float

    @classmethod
    def choose(cls, start_at: datetime, count: int | None, days: int, rate: float | None) -> "Timeline":
        """Spread over the `days` before `start_at`, or from `start_at` on at `rate` events a second.

        With neither, events lie a millisecond apart just before `start_at`, so that none is dated
        in the future. Raises ConfigurationError for days without a count.
        """
        start = ticks_of(start_at)
        if days and count is None:
            raise ConfigurationError(
                f"Spreading endless traffic over {days} days was asked for, but endless traffic happens "
                "now: give a number of events, or leave out the days"
            )
        if days and count:
            span = days * 24 * _HOUR
            return cls(start - span, span / count)
        if rate is not None or count is None:
            return cls(start, TICKS_PER_SECOND / (rate or 1000))
        return cls(start - count * _UNPACED_STEP, _UNPACED_STEP)

    def ticks(self, n: int, material: Material) -> int:
        """The instant of event n; a few in a thousand are in the last tick of the hour before.

        That tick has seven nines: a reader who rounds it to microseconds books it in the wrong
        hour, and at midnight on the wrong day.
        """
        ticks = self.first_ticks + int((n + material.random.random()) * self.step)
        if material.chance(_LATE_SHARE):
            return ticks // _HOUR * _HOUR - 1
        unit = material.random.choices(_FRACTION_UNITS, _FRACTION_WEIGHTS)[0]
        return ticks // unit * unit
