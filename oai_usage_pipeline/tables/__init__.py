"""The contracts of the Delta tables: names, columns, types, partitioning.

Pure data that every layer may import. How tables are written belongs in `lake`, how rows come
about in `capture`, `usage`, `reference`, `charge` and `refresh`.
"""

from oai_usage_pipeline.tables.bronze import EVENT_KEY, OPENAI_EVENTS
from oai_usage_pipeline.tables.capture import CAPTURE_GAPS
from oai_usage_pipeline.tables.charge import (
    CHARGEBACK_DIMENSIONS,
    CHARGEBACK_MONTHLY,
    IDLE_CAPACITY,
    MONTH_CLOSINGS,
    UNATTRIBUTED,
    UNPRICED_BUCKETS,
    UNPRICED_UNITS,
    USAGE_COST_HOURLY,
)
from oai_usage_pipeline.tables.contract import FIRST_DATE, INSTANT, MONEY, TableContract
from oai_usage_pipeline.tables.gold import (
    BUCKETS,
    COUNT_COLUMNS,
    SUM_COLUMNS,
    TOKEN_BUCKETS,
    TOKEN_USAGE_HOURLY,
    UNIT_BUCKETS,
    USAGE_DIMENSIONS,
)
from oai_usage_pipeline.tables.keys import KEY_PEPPERS, KEY_ROTATIONS
from oai_usage_pipeline.tables.privacy import PAYLOAD_ERASURES
from oai_usage_pipeline.tables.reference import (
    DEFAULT_DEPLOYMENTS,
    DEPLOYMENT_TYPES,
    DEPLOYMENTS,
    PRICE_BUCKETS,
    PRICE_UNITS,
    PRICES,
    PROVISIONED,
    SUBSCRIPTIONS,
)
from oai_usage_pipeline.tables.silver import (
    ESTIMATE_COLUMNS,
    EVENT_SHAPES,
    STATUSES,
    TOKEN_COLUMNS,
    USAGE_EVENTS,
)

TABLES = (
    OPENAI_EVENTS,
    CAPTURE_GAPS,
    KEY_PEPPERS,
    KEY_ROTATIONS,
    PAYLOAD_ERASURES,
    USAGE_EVENTS,
    TOKEN_USAGE_HOURLY,
    USAGE_COST_HOURLY,
    CHARGEBACK_MONTHLY,
    MONTH_CLOSINGS,
    SUBSCRIPTIONS,
    DEPLOYMENTS,
    PRICES,
)
"""Every table of the lake, in the order in which a reader meets them."""

__all__ = [
    "BUCKETS",
    "CAPTURE_GAPS",
    "CHARGEBACK_DIMENSIONS",
    "CHARGEBACK_MONTHLY",
    "COUNT_COLUMNS",
    "DEFAULT_DEPLOYMENTS",
    "DEPLOYMENTS",
    "DEPLOYMENT_TYPES",
    "ESTIMATE_COLUMNS",
    "EVENT_KEY",
    "EVENT_SHAPES",
    "FIRST_DATE",
    "IDLE_CAPACITY",
    "INSTANT",
    "KEY_PEPPERS",
    "KEY_ROTATIONS",
    "MONEY",
    "MONTH_CLOSINGS",
    "OPENAI_EVENTS",
    "PAYLOAD_ERASURES",
    "PRICES",
    "PRICE_BUCKETS",
    "PRICE_UNITS",
    "PROVISIONED",
    "STATUSES",
    "SUBSCRIPTIONS",
    "SUM_COLUMNS",
    "TABLES",
    "TOKEN_BUCKETS",
    "TOKEN_COLUMNS",
    "TOKEN_USAGE_HOURLY",
    "UNATTRIBUTED",
    "UNIT_BUCKETS",
    "UNPRICED_BUCKETS",
    "UNPRICED_UNITS",
    "USAGE_COST_HOURLY",
    "USAGE_DIMENSIONS",
    "USAGE_EVENTS",
    "TableContract",
]
