"""The derived tables in the order in which they follow from bronze; nothing else.

A new table takes its place here, and every pass, sensor, check and command knows of it.
"""

from typing import Any

from oai_usage_pipeline.refresh.chargeback import CHARGEBACK_MONTHLY_DERIVATION
from oai_usage_pipeline.refresh.cost import USAGE_COST_HOURLY_DERIVATION
from oai_usage_pipeline.refresh.derivation import Derivation
from oai_usage_pipeline.refresh.gold import TOKEN_USAGE_HOURLY_DERIVATION
from oai_usage_pipeline.refresh.silver import USAGE_EVENTS_DERIVATION

DAILY: tuple[Derivation[Any], ...] = (
    USAGE_EVENTS_DERIVATION,
    TOKEN_USAGE_HOURLY_DERIVATION,
    USAGE_COST_HOURLY_DERIVATION,
)
"""Tables with a partition a day."""

MONTHLY: tuple[Derivation[Any], ...] = (CHARGEBACK_MONTHLY_DERIVATION,)
"""Tables with a partition a month."""

DERIVATIONS: tuple[Derivation[Any], ...] = (*DAILY, *MONTHLY)
