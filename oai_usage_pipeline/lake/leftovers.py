"""Files in a table's folder that its newest version doesn't name: how many, how large, since when.

Belongs here: finding them by a listing of the folder and the log, without a look into any data file. When
they may be deleted is for `maintenance`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow.fs
from deltalake.fs import DeltaStorageHandler

from oai_usage_pipeline.lake.log import LOG, LogFiles


@dataclass(frozen=True)
class Leftovers:
    """Files that the newest version doesn't name, their bytes, and since when it hasn't named the oldest.

    `oldest_at` is that of the files that the log still tells of, None where it tells of none. Of others, such
    as those of a commit that failed, it isn't known: when a file was written doesn't say.
    """

    files: int
    size: int
    oldest_at: datetime | None


def leftovers(uri: str, storage_options: Mapping[str, str], named: Collection[str]) -> Leftovers:
    """Those of the table at `uri`, of which the newest version names `named`.

    One listing of the folder, and the newest part of the log.
    """
    store: Any = DeltaStorageHandler(uri, dict(storage_options))
    everything = pyarrow.fs.FileSelector("", recursive=True)
    listed = pyarrow.fs.PyFileSystem(store).get_file_info(everything)
    found = [
        each
        for each in listed
        if each.is_file and not each.path.startswith(f"{LOG}/") and each.path not in named
    ]
    removals = LogFiles(uri, storage_options).removals() if found else {}
    since = (removals[each.path] for each in found if each.path in removals)
    return Leftovers(len(found), sum(each.size for each in found), min(since, default=None))
