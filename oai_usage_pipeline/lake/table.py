"""One Delta table of the lake: made to its contract, opened, appended to, replaced by the day.

Belongs here: what every writer must get right (properties, statistics, transactions with the
handle that was read from). What rows mean, and when to write them, does not.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import polars as pl
import pyarrow as pa
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from oai_usage_pipeline.errors import HistoryGone, LakeDamaged, LakeUnavailable, NoTable, PositionConflict
from oai_usage_pipeline.tables import TableContract

PROPERTIES = {
    # Opening a table at version 5,000 takes 26 ms with checkpoints and a second without.
    "delta.checkpointInterval": "10",
    # `changes` reads what is new in a table; appends write nothing more for it.
    "delta.enableChangeDataFeed": "true",
}
FORBIDDEN_PROPERTY = "delta.setTransactionRetentionDuration"

UNIQUE_COLUMN = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")

STORAGE_ERRORS = (DeltaError, OSError, pl.exceptions.PolarsError, pa.ArrowException)
MISSING = ("found gap", "not found", "no such file", "does not exist")
"""How the readers, each in its own words, say that a log entry or a data file isn't there."""

P = ParamSpec("P")
R = TypeVar("R")
Positions = Mapping[str, int]


def _explained(
    method: Callable[Concatenate["LakeTable", P], R],
) -> Callable[Concatenate["LakeTable", P], R]:
    @wraps(method)
    def call(self: "LakeTable", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except CommitFailedError as error:
            raise PositionConflict(
                f"{self.contract.name}: another writer committed first, or the outcome of this commit is "
                f"unknown ({_first_line(error)}): read the positions again before writing"
            ) from error
        except STORAGE_ERRORS as error:
            raise _meaning(self, error) from error

    return call


def _meaning(table: "LakeTable", error: Exception) -> LakeUnavailable:
    found = f"{table.contract.name}: the table at {table.uri} can't be used: {_first_line(error)}. "
    if any(word in str(error).lower() for word in MISSING):
        return HistoryGone(found + "A file of it is missing: was it moved, or cleaned up?")
    return LakeUnavailable(
        found + "Check that the location exists, has space and may be written, and that its files are whole"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


class LakeTable:
    """A handle on one version of a table; a writer reads and commits with the same one.

    delta-rs refuses a commit only if an application transaction of it has moved since the handle
    was opened, so positions must be read from the handle that the rows are written with.
    """

    def __init__(
        self, contract: TableContract, uri: str, storage_options: dict[str, str], *, create: bool = True
    ) -> None:
        """Open the newest version; without `create`, raises NoTable when there is none."""
        self.contract = contract
        self.uri = uri
        self._storage_options = storage_options
        self._handle = self._open(create=create)

    @_explained
    def _open(self, *, create: bool) -> DeltaTable:
        try:
            handle = DeltaTable(self.uri, storage_options=self._storage_options)
        except TableNotFoundError:
            if not create:
                raise NoTable(
                    f"There is no table {self.contract.name} at {self.uri}: check OAI_USAGE_LAKE_URI, or "
                    "fill the lake with `oai-usage run --until-idle`"
                ) from None
            handle = self._create_or_join()
        self._refuse_forgotten_positions(handle)
        if create:
            self._add_new_columns(handle)
        return handle

    def _add_new_columns(self, handle: DeltaTable) -> None:
        """A table made by an older contract gains the columns that it lacks, null in its old rows."""
        has = {field.name for field in handle.schema().fields}
        wanted = Schema.from_arrow(self.contract.empty().to_arrow().schema)
        lacks = [field for field in wanted.fields if field.name not in has]
        if lacks:
            handle.alter.add_columns(lacks)

    @property
    def _schema_mode(self) -> Literal["merge"] | None:
        """How rows are written to a table with columns that today's contract no longer has: null in them."""
        has = {field.name for field in self._handle.schema().fields}
        return "merge" if has - self.contract.schema.keys() else None

    def _create_or_join(self) -> DeltaTable:
        """Two that make the same table at once: one wins, the other opens it."""
        try:
            return self._create()
        except DeltaError:
            return DeltaTable(self.uri, storage_options=self._storage_options)

    def _create(self) -> DeltaTable:
        statistics = ",".join(self.contract.statistics)
        return DeltaTable.create(
            self.uri,
            schema=self.contract.empty().to_arrow().schema,
            mode="ignore",
            name=self.contract.name,
            description=self.contract.description,
            partition_by=[self.contract.partition_by] if self.contract.partition_by else None,
            configuration={**PROPERTIES, "delta.dataSkippingStatsColumns": statistics},
            storage_options=self._storage_options,
        )

    def _refuse_forgotten_positions(self, handle: DeltaTable) -> None:
        if FORBIDDEN_PROPERTY in handle.metadata().configuration:
            raise LakeDamaged(
                f"{self.contract.name} has the property {FORBIDDEN_PROPERTY}: Delta would forget positions "
                "and events would be captured twice. Remove it (ALTER TABLE ... UNSET TBLPROPERTIES)"
            )

    @property
    def version(self) -> int:
        """The version that this handle sees."""
        return self._handle.version()

    @property
    def id(self) -> str:
        """The table's own id: a table made again at the same place has another."""
        return str(self._handle.metadata().id)

    @_explained
    def position(self, app_id: str) -> int | None:
        """The last committed number of an application transaction; None if there is none, 0 is one."""
        return self._handle.transaction_version(app_id)

    @_explained
    def append(self, rows: pl.DataFrame | pa.RecordBatchReader, positions: Positions) -> None:
        """Commit rows and positions in one Delta commit, or neither.

        Raises PositionConflict when the outcome is another writer's or unknown: this handle is then
        stale and must not be written with again.
        """
        write_deltalake(
            self._handle,
            rows,
            mode="append",
            schema_mode=self._schema_mode,
            writer_properties=_writer(self.contract),
            commit_properties=_commit(positions),
        )

    @_explained
    def replace(self, rows: pl.DataFrame, positions: Positions) -> None:
        """Replace all rows in one commit; raises PositionConflict as `append` does."""
        write_deltalake(
            self._handle,
            rows,
            mode="overwrite",
            schema_mode=self._schema_mode,
            writer_properties=_writer(self.contract),
            commit_properties=_commit(positions),
        )

    @_explained
    def replace_day(self, day: str, rows: pl.DataFrame | pa.RecordBatchReader, positions: Positions) -> None:
        """Replace one day's rows in one commit; readers see the old day or the new one.

        `day` is the ISO date of the partition column; rows of another day are refused by Delta.
        Raises PositionConflict as `append` does.
        """
        write_deltalake(
            self._handle,
            rows,
            mode="overwrite",
            predicate=f"{self.contract.day_column} = '{day}'",
            schema_mode=self._schema_mode,
            writer_properties=_writer(self.contract),
            commit_properties=_commit(positions),
        )

    def scan(self) -> pl.LazyFrame:
        """The rows of this version, lazily; filters on the partition column skip files."""
        return pl.scan_delta(self._handle)

    @_explained
    def days(self) -> set[str]:
        """ISO dates that have files, from the log alone."""
        return {str(partition[self.contract.day_column]) for partition in self._handle.partitions()}

    @_explained
    def rows_by_day(self) -> dict[str, int]:
        """Rows of each day that has files, from the log alone."""
        files = pl.DataFrame(self._handle.get_add_actions(flatten=True))
        day = pl.col(f"partition.{self.contract.day_column}").cast(pl.String)
        return dict(files.group_by(day).agg(pl.col("num_records").sum()).iter_rows())

    @_explained
    def files_by_day(self) -> dict[str, list[str]]:
        """Names of the files that hold each day's rows, from the log alone; rows written anew have others."""
        files = pl.DataFrame(self._handle.get_add_actions(flatten=True))
        day = pl.col(f"partition.{self.contract.day_column}").cast(pl.String)
        return dict(files.group_by(day).agg(pl.col("path").sort()).iter_rows())

    @_explained
    def row_count(self) -> int:
        """Number of rows, from the log's statistics alone."""
        return int(self._handle.count())

    @_explained
    def changes(self, since: int, until: int, where: str) -> pa.RecordBatchReader:
        """Rows inserted and deleted by the versions `since` < v <= `until`, streamed.

        Adds the columns `_change_type` ('insert' or 'delete'), `_commit_version` and
        `_commit_timestamp`. Compaction changes no rows and is not seen. `where` is a SQL predicate.
        """
        return self._changes(since, until, predicate=where)

    @_explained
    def change_counts(self, since: int, until: int, column: str) -> pl.DataFrame:
        """How many rows the versions `since` < v <= `until` changed, by value of a column.

        Columns: `day` (the value as text), `version`, `kind` ('insert' or 'delete'), `committed_ms`
        (milliseconds since 1970), `len`. Raises HistoryGone when it can no longer be told.
        """
        columns = [column, "_change_type", "_commit_version", "_commit_timestamp"]
        changed = pl.DataFrame(self._changes(since, until, columns=columns))
        return (
            changed.group_by(
                pl.col(column).cast(pl.String).alias("day"),
                pl.col("_commit_version").cast(pl.Int64).alias("version"),
                pl.col("_change_type").alias("kind"),
                pl.col("_commit_timestamp").dt.timestamp("ms").alias("committed_ms"),
            )
            .len()
            .cast({"len": pl.Int64})
        )

    def _changes(self, since: int, until: int, **options: Any) -> pa.RecordBatchReader:  # noqa: ANN401 - delta-rs's own
        reader = self._handle.load_cdf(
            starting_version=since + 1, ending_version=until, allow_out_of_range=True, **options
        )
        return pa.RecordBatchReader.from_stream(reader)


def _writer(contract: TableContract) -> WriterProperties:
    return WriterProperties(
        compression="ZSTD",
        compression_level=1,
        # Any WriterProperties turns off delta-rs's own truncation: whole values would stand in the log.
        statistics_truncate_length=32,
        column_properties=dict.fromkeys(contract.unique, UNIQUE_COLUMN),
    )


def _commit(positions: Positions) -> CommitProperties:
    return CommitProperties(
        app_transactions=[Transaction(app_id, version) for app_id, version in positions.items()]
    )
