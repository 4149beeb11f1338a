"""A hub that was deleted and made again: what capture says when it meets its new life.

Belongs here: what bronze has of the life before. What that life held beyond it went with the hub, and nobody
can say what it was: so there is no gap to record, but a person should hear of it.
"""

import polars as pl

from oai_usage_pipeline.capture.gaps import gaps_of
from oai_usage_pipeline.capture.source import Hub
from oai_usage_pipeline.errors import NoTable
from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import OPENAI_EVENTS


def former_life(lake: Lake, hub: Hub) -> str | None:
    """Up to where bronze has the hub's life before this one, and its open gaps; None if it has none.

    Reads the names and numbers of all events: for the first capture of a life only.
    """
    try:
        table = lake.existing(OPENAI_EVENTS)
    except NoTable:
        return None
    of_others = (pl.col("event_hub") == hub.event_hub) & (pl.col("incarnation") != hub.incarnation)
    last = pl.col("sequence_number").max()
    rows = table.read(table.scan().filter(of_others).group_by("incarnation", "partition_id").agg(last))
    if rows.is_empty():
        return None
    life = str(rows["incarnation"].max())
    of_life = rows.filter(incarnation=life).sort(pl.col("partition_id").str.len_bytes(), "partition_id")
    captured = ", ".join(f"{last} in partition {each}" for _, each, last in of_life.iter_rows())
    open_gaps = [
        str(each)
        for each in gaps_of(lake)
        if each.is_open and (each.event_hub, each.incarnation) == (hub.event_hub, life)
    ]
    said = (
        f"{hub.event_hub} was made again at {hub.incarnation}. Of its former life (created {life}), the last "
        f"events in bronze are {captured}. What it received after them is lost with it, and is on no record"
    )
    return "\n".join([said, *open_gaps])
