"""How a remote store is spoken to: the deadline of each request, and how long it is tried again.

Belongs here: what delta-rs and polars, each with option names of its own, are told. Where the lake
lies, and with which credentials, stands in `lake`.
"""

from collections.abc import Mapping

REQUEST_SECONDS = 12
"""A request that has no whole answer by then has failed. Parts of uploads have 5 MiB."""

RETRY_SECONDS = 10
"""A request is tried again, with growing pauses, until so long after its first failure.

So one call of a store that is silent, busy or gone ends within `REQUEST_SECONDS` + `RETRY_SECONDS` (of
polars, which begins once more, in twice that). Longer troubles are waited out by those who call: they
look at the table again first, and can be interrupted, which a call of the store can't be.
"""

DELTA = {
    # Names: object_store's ClientConfigKey, and delta-rs's own for retries.
    "timeout": f"{REQUEST_SECONDS}s",
    "connect_timeout": "5s",
    "retry_timeout": f"{RETRY_SECONDS}s",
    "max_retries": "100",  # The time decides: ten tries in a row are over in 3 seconds.
    "backoff_config.max_backoff": "2s",
}
POLARS = {"timeout": f"{REQUEST_SECONDS}s", "connect_timeout": "5s"}
# polars refuses these as text.
POLARS_RETRIES = {"retry_timeout_ms": RETRY_SECONDS * 1000, "max_retries": 100, "retry_max_backoff_ms": 2000}


def delta_options(uri: str, options: Mapping[str, str]) -> dict[str, str]:
    """The options of a lake as delta-rs takes them, with deadlines where it is remote; its own go first."""
    return {**DELTA, **options} if is_remote(uri) else dict(options)


def polars_options(uri: str, options: Mapping[str, str]) -> dict[str, str | int] | None:
    """The same for polars, which has names of its own for retries; None for a folder."""
    if not is_remote(uri):
        return None
    retries = dict(POLARS_RETRIES)
    if "retry_timeout" in options:
        retries["retry_timeout_ms"] = int(float(options["retry_timeout"].removesuffix("s")) * 1000)
    return {**POLARS, **options, **retries}


def is_remote(uri: str) -> bool:
    """Whether a lake or table lies in a store that is reached over the network."""
    return "://" in uri and not uri.startswith("file://")
