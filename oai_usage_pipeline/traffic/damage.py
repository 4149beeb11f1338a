"""What happens to a message between the policy and the hub: cut short, answered by nobody, not JSON.

Bytes in, bytes out. What the pipeline must make of the damage is stated in `expectation`.
"""

import gzip
from enum import Enum

from oai_usage_pipeline.traffic.material import Material

LARGEST_MESSAGE = 200 * 1024
"""API Management cuts what `log-to-eventhub` sends at 200 KB, without a word.

https://learn.microsoft.com/azure/api-management/log-to-eventhub-policy
"""


class Damage(Enum):
    """What happened to a message between the policy and the hub."""

    NONE = "none"
    TRUNCATED = "truncated"
    NULL_RESPONSE = "null_response"
    NOT_JSON = "not_json"


def truncated(body: bytes) -> bytes:
    """At most 200 KB: what is longer is cut, mostly inside a string, sometimes inside a character."""
    return body[:LARGEST_MESSAGE]


def not_json(material: Material, marker: str) -> bytes:
    """What lands in a hub that others can write to: pages, log lines, compressed bytes."""
    page = f"<html><body><h1>504 Gateway Time-out</h1><p>{marker}</p></body></html>"
    line = f"WARN {marker} upstream closed the connection, nothing to log"
    return material.random.choice((page.encode(), line.encode(), gzip.compress(page.encode(), mtime=0)))
