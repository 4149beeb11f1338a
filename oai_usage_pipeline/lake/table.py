"""One Delta table of the lake: made to its contract, opened, appended to, replaced by the day.

Belongs here: what every writer must get right (properties, statistics, transactions with the
handle that was read from). What rows mean, and when to write them, does not.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, Schema, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from oai_usage_pipeline.errors import LakeDamaged, NoTable
from oai_usage_pipeline.lake.change_counts import change_counts
from oai_usage_pipeline.lake.failures import explained, explaining, sentence
from oai_usage_pipeline.lake.files import set_aside
from oai_usage_pipeline.lake.inspection import Inspection
from oai_usage_pipeline.lake.log import LogFiles
from oai_usage_pipeline.lake.properties import ERASURES, lacking, properties_of, refuse_forgotten_positions
from oai_usage_pipeline.lake.store import delta_options, polars_options
from oai_usage_pipeline.lake.upkeep import Upkeep
from oai_usage_pipeline.lake.writing import Positions, commit_of, writer
from oai_usage_pipeline.tables import TableContract


class LakeTable(Inspection, Upkeep):
    """A handle on one version of a table; a writer reads and commits with the same one.

    delta-rs refuses a commit only if an application transaction of it has moved since the handle
    was opened, so positions must be read from the handle that the rows are written with.
    """

    def __init__(
        self, contract: TableContract, uri: str, storage_options: Mapping[str, str], *, create: bool = True
    ) -> None:
        """Open the newest version; without `create`, raises NoTable when there is none."""
        self.contract = contract
        self.uri = uri
        self._storage_options = delta_options(uri, storage_options)
        self._reading_options = polars_options(uri, storage_options)
        self._handle = self._open(create=create)
        if create:
            self.grow()

    @explained
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
        except DeltaError as error:
            self._refuse_broken_log(error)
            raise
        refuse_forgotten_positions(handle, self.contract)
        return handle

    @explained
    def grow(self) -> None:
        """Gain the columns that the contract has gained, and the properties that the table lacks."""
        self._add_new_columns(self._handle)
        self._add_lacking_properties(self._handle)

    def _refuse_broken_log(self, error: DeltaError) -> None:
        """delta-rs says what it can't read, but not in which file."""
        if "object store" in str(error).lower():
            return
        if broken := next(LogFiles(self.uri, self._storage_options).broken(), None):
            raise LakeDamaged(
                f"{self.contract.name}: the log of the table at {self.uri} is damaged: {broken} "
                f"({sentence(error)[:120]}). Nothing was changed; put the file back from a copy of the lake"
            ) from None

    def _add_new_columns(self, handle: DeltaTable) -> None:
        """A table made by an older contract gains the columns that it lacks, null in its old rows."""
        has = {field.name for field in handle.schema().fields}
        wanted = Schema.from_arrow(self.contract.empty().to_arrow().schema)
        lacks = [field for field in wanted.fields if field.name not in has]
        if lacks:
            handle.alter.add_columns(lacks)

    def _add_lacking_properties(self, handle: DeltaTable) -> None:
        if lacks := lacking(handle, self.contract):
            handle.alter.set_table_properties(
                lacks, raise_if_not_exists=False, commit_properties=commit_of({})
            )

    @property
    def _schema_mode(self) -> Literal["merge"] | None:
        """How rows are written to a table with columns that today's contract no longer has: null in them."""
        has = {field.name for field in self._handle.schema().fields}
        return "merge" if has - self.contract.schema.keys() else None

    def _create_or_join(self) -> DeltaTable:
        """Two that make the same table at once: one wins, the other opens it.

        So does whoever isn't told that it was made. Where there is none, why it can't be made is raised.
        """
        try:
            return self._create()
        except DeltaError as error:
            try:
                return DeltaTable(self.uri, storage_options=self._storage_options)
            except TableNotFoundError:
                raise error from None

    def _create(self) -> DeltaTable:
        return DeltaTable.create(
            self.uri,
            schema=self.contract.empty().to_arrow().schema,
            mode="ignore",
            name=self.contract.name,
            description=self.contract.description,
            partition_by=[self.contract.partition_by] if self.contract.partition_by else None,
            configuration=properties_of(self.contract),
            storage_options=self._storage_options,
            # Tried again behind another's, it would give the table that is there a new id.
            commit_properties=commit_of({}, most_rivals=0),
        )

    @property
    def id(self) -> str:
        """The table's own id: a table made again at the same place has another."""
        return str(self._handle.metadata().id)

    @explained
    def position(self, app_id: str) -> int | None:
        """The last committed number of an application transaction; None if there is none, 0 is one."""
        return self._handle.transaction_version(app_id)

    @property
    def erasures_noted(self) -> int:
        """How far the record of erasures must be, at least; 0 where none ever began."""
        return int(self._handle.metadata().configuration.get(ERASURES, 0))

    @explained
    def note_erasures(self, reached: int) -> None:
        """Note how far the record of erasures is; every commit that was prepared before is refused by that.

        So whoever commits to the table afterwards has opened it afterwards. Raises PositionConflict when
        another writer changed the table's properties or columns.
        """
        self._set({ERASURES: str(reached)})

    @explained
    def append(
        self,
        rows: pl.DataFrame | pa.RecordBatchReader,
        positions: Positions,
        *,
        sound_at: int | None = None,
    ) -> None:
        """Commit rows and positions in one Delta commit, or neither.

        `sound_at` is a version that was found sound: `unproven_commits` looks at what came after it. Raises
        PositionConflict when the outcome is another writer's or unknown: this handle is then stale and must
        not be written with again.
        """
        write_deltalake(
            self._handle,
            rows,
            mode="append",
            schema_mode=self._schema_mode,
            writer_properties=writer(self.contract),
            commit_properties=commit_of(positions, sound_at=sound_at),
        )

    @explained
    def replace(self, rows: pl.DataFrame, positions: Positions) -> None:
        """Replace all rows in one commit; raises PositionConflict as `append` does, and on any other commit.

        After a compaction delta-rs would let it pass without removing the compacted file: rows doubled.
        """
        write_deltalake(
            self._handle,
            rows,
            mode="overwrite",
            schema_mode=self._schema_mode,
            writer_properties=writer(self.contract),
            commit_properties=commit_of(positions, most_rivals=0),
        )

    @explained
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
            writer_properties=writer(self.contract),
            commit_properties=commit_of(positions),
        )

    def scan(self) -> pl.LazyFrame:
        """The rows of this version, lazily; filters on the partition column skip files.

        Failures that are met while the frame is collected are polars' own: `failures.meaning_of_any`
        says what they mean.
        """
        return pl.scan_delta(self._handle, storage_options=self._reading_options)

    @explained
    def forget_gone_files(self, positions: Positions) -> list[str]:
        """Take data files that are gone out of the log in one commit; returns their names.

        Those that aren't whole are renamed first, and so gone. Nothing is committed when all are there.
        Raises PositionConflict as `append` does.
        """
        if cut := self._cut_names():
            set_aside(self._folder, cut)
        return list(self._handle.repair(commit_properties=commit_of(positions))["files_removed"])

    def read(self, rows: pl.LazyFrame) -> pl.DataFrame:
        """Collect what was made of `scan`; failures of files and store are errors made for people."""
        with explaining(self):
            return rows.collect(engine="streaming")

    @explained
    def days(self) -> set[str]:
        """ISO dates that have files, from the log alone."""
        return {str(partition[self.contract.day_column]) for partition in self._handle.partitions()}

    @explained
    def rows_by_day(self) -> dict[str, int]:
        """Rows of each day that has files, from the log alone."""
        files = pl.DataFrame(self._handle.get_add_actions(flatten=True))
        day = pl.col(f"partition.{self.contract.day_column}").cast(pl.String)
        return dict(files.group_by(day).agg(pl.col("num_records").sum()).iter_rows())

    @explained
    def files_by_day(self) -> dict[str, list[str]]:
        """Names of the files that hold each day's rows, from the log alone; rows written anew have others."""
        files = pl.DataFrame(self._handle.get_add_actions(flatten=True))
        day = pl.col(f"partition.{self.contract.day_column}").cast(pl.String)
        return dict(files.group_by(day).agg(pl.col("path").sort()).iter_rows())

    @explained
    def row_count(self) -> int:
        """Number of rows, from the log's statistics alone."""
        return int(self._handle.count())

    @explained
    def changes(self, since: int, until: int, where: str) -> pa.RecordBatchReader:
        """Rows inserted and deleted by the versions `since` < v <= `until`, streamed.

        Adds the columns `_change_type` ('insert' or 'delete'), `_commit_version` and
        `_commit_timestamp`. Compaction changes no rows and is not seen. `where` is a SQL predicate.
        """
        return self._changes(since, until, predicate=where)

    @explained
    def change_counts(self, since: int, until: int, column: str) -> pl.DataFrame:
        """How many rows the versions `since` < v <= `until` changed, by value of a column: CHANGE_COUNTS.

        Raises HistoryGone when it can no longer be told.
        """
        columns = [column, "_change_type", "_commit_version", "_commit_timestamp"]
        return change_counts(iter(self._changes(since, until, columns=columns)), column)

    @explained
    def removed(self, version: int, where: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Rows that one version took out of the table, streamed from the files that it left behind.

        `where` is a SQL predicate; `columns` are read as SQL too, so they must be no words of it. Raises
        HistoryGone, if only while rows are read, when the files are gone.
        """
        options = {} if columns is None else {"columns": [*columns, "_change_type"]}
        # Begun here, not with the first row: delta-rs can't begin to read while it writes.
        reader = self._changes(version - 1, version, predicate=where, **options)
        frames = (pl.DataFrame(batch).filter(pl.col("_change_type") == "delete") for batch in reader)
        return (batch for rows in frames for batch in rows.to_arrow().to_batches())

    def _changes(self, since: int, until: int, **options: Any) -> pa.RecordBatchReader:  # noqa: ANN401 - delta-rs's own
        # Out of range is nothing new. Allowed otherwise, delta-rs takes a first entry that was cleaned up
        # for one that isn't there yet, and tells of no change at all.
        is_nothing = since >= until
        reader = pa.RecordBatchReader.from_stream(
            self._handle.load_cdf(
                starting_version=since + 1, ending_version=until, allow_out_of_range=is_nothing, **options
            )
        )
        return pa.RecordBatchReader.from_batches(reader.schema, self._batches(reader))

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        """A damaged or missing file is met only while its rows are read."""
        with explaining(self):
            yield from reader
