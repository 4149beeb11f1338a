"""What the readers and writers of Delta say when something fails, as errors made for people.

Belongs here: which failure is whose, and its sentence, with the file named and no secret in it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import polars as pl
import pyarrow as pa
from deltalake.exceptions import CommitFailedError, DeltaError

from oai_usage_pipeline.errors import HistoryGone, LakeUnavailable, PipelineError, PositionConflict
from oai_usage_pipeline.tables import TableContract

STORAGE_ERRORS = (DeltaError, OSError, pl.exceptions.PolarsError, pa.ArrowException)
READING_ERRORS = (DeltaError, pl.exceptions.ComputeError, pl.exceptions.PanicException, pa.ArrowException)
"""Those that come of files and stores alone, wherever in the program they are met."""

MISSING = ("found gap", "invalid table version", "not found", "no such file", "does not exist")
"""How the readers, each in its own words, say that a log entry or a data file isn't there."""

COLOUR = re.compile("\x1b\\[[0-9;]*m")
SIGNATURE = re.compile(r"\b(sig|skoid|client_secret|access_token)=[^&\s)\"']+")
FRAME = re.compile(r"\d+: |at \S+:\d+|stack backtrace")
"""A line of Rust's backtrace, which its errors carry where RUST_BACKTRACE is set."""

LONGEST_SENTENCE = 600

P = ParamSpec("P")
R = TypeVar("R")


class Table(Protocol):
    """What is said about the table that failed."""

    contract: TableContract
    uri: str


T = TypeVar("T", bound=Table)


def explained(method: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[T, P], R]:
    """A method of a table whose failures are LakeUnavailable, HistoryGone or PositionConflict."""

    @wraps(method)
    def call(self: T, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with explaining(self):
            return method(self, *args, **kwargs)

    return call


@contextmanager
def explaining(table: Table) -> Iterator[None]:
    """Let no failure of a table's files or store out of this block but as an error made for people."""
    try:
        yield
    except PipelineError:
        raise
    except CommitFailedError as error:
        raise PositionConflict(
            f"{table.contract.name}: another writer committed first, or the outcome of this commit is "
            f"unknown ({sentence(error)}): read the positions again before writing"
        ) from _harmless(error)
    except (*STORAGE_ERRORS, pl.exceptions.PanicException) as error:
        raise meaning(f"{table.contract.name}: the table at {table.uri} can't be used", error) from _harmless(
            error
        )


def meaning(what: str, error: BaseException) -> LakeUnavailable:
    """The error for people that a failure comes to; `what` is what can't be done because of it."""
    found = f"{what}: {sentence(error)}. "
    if any(word in str(error).lower() for word in MISSING):
        return HistoryGone(found + "A file of it is missing: was it moved, or cleaned up?")
    return LakeUnavailable(
        found + "Check that the location exists, has space and may be written, and that its files are whole"
    )


def meaning_of_any(error: BaseException) -> LakeUnavailable | None:
    """The same for an error met where no table is at hand; None when it is no failure of the lake."""
    missing = isinstance(error, OSError) and "(os error" in str(error)
    if not isinstance(error, READING_ERRORS) and not missing and "object-store error" not in str(error):
        return None
    return meaning("The lake can't be read", error)


def sentence(error: BaseException) -> str:
    """What an error says, in one line, without colours and without the signatures of signed addresses."""
    lines = (line.strip(" \t↳") for line in COLOUR.sub("", str(error)).split("\n"))
    said = ": ".join(line for line in lines if line and not FRAME.match(line)) or type(error).__name__
    return SIGNATURE.sub(r"\1=...", said)[:LONGEST_SENTENCE].rstrip(". ")


def _harmless(error: BaseException) -> BaseException | None:
    """The error as a cause to show; none if it holds a signature, which a traceback would print."""
    return None if SIGNATURE.search(str(error)) else error
