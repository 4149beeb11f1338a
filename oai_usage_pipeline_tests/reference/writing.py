"""Reference files written for a test, and what reading one says."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from oai_usage_pipeline.errors import ConfigurationError


def write(folder: Path, name: str, *lines: str) -> Path:
    """A file of these lines in a folder that is made if need be."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def refusal(read: Callable[[Path], pl.DataFrame], folder: Path) -> str:
    """The message of the error that reading the folder must raise."""
    with pytest.raises(ConfigurationError) as raised:
        read(folder)
    return str(raised.value)
