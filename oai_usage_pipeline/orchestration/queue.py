"""Which runs go first in Dagster's queue, and which leave a place free for others.

Belongs here: the tags that say so, as `dagster.yaml` reads them. When a run is asked for is for `sensors` and
`schedules`.
"""

FIRST = {"dagster/priority": "10"}
"""Of live passes: people wait for live numbers, not for last year's."""

BACKGROUND = {"oai_usage/background": "yes"}
"""Of what comes by itself or takes its time: `dagster.yaml` keeps a place free of these, for live passes."""

LAST = {"dagster/priority": "-10"}
"""Of what may take hours; all others have 0."""
