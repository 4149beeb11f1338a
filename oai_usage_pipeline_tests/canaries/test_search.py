"""The search finds what it is to find: a secret in any form, in any kind of file."""

import base64
import json
import sqlite3
from pathlib import Path
from urllib.parse import quote

import polars as pl
import pytest

from oai_usage_pipeline_tests.canaries.search import contents, leaks

SECRET = "canary/+Secret0123456789abcdef=="
HIDDEN = {
    "plain": SECRET.encode(),
    "its first twenty characters": SECRET[:20].encode(),
    "upper case": SECRET.upper().encode(),
    "lower case": SECRET.lower().encode(),
    "UTF-16": SECRET.encode("utf-16"),
    "UTF-16 of the other order": SECRET.encode("utf-16-be"),
    "a URL": quote(SECRET, safe="").encode(),
    "a URL in lower case": quote(SECRET, safe="").lower().encode(),
    "hexadecimal": SECRET.encode().hex().encode(),
    **{f"base64 after {n} bytes": base64.b64encode(b"x" * n + SECRET.encode() + b"yz") for n in range(4)},
    "base64 of URLs": base64.urlsafe_b64encode(b"x" + SECRET.encode()),
}


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_every_form_of_a_secret_is_found(hidden: bytes) -> None:
    assert leaks([SECRET], {"a": b"before" + hidden + b"after", "b": b"nothing"}) == ["a"]


def test_what_only_resembles_a_secret_is_none() -> None:
    assert leaks([SECRET], {"a": SECRET[:19].encode() + b"-and-something-else"}) == []


def test_secrets_are_found_in_compressed_columns_and_in_pages(tmp_path: Path) -> None:
    rows: dict[str, list[object]] = {
        "text": [SECRET, "x"],
        "bytes": [b"x", SECRET.encode("utf-16")],
        "in": [[{"a": SECRET}], []],
    }
    for name, values in rows.items():
        frame = pl.DataFrame({name: values * 500})
        frame.write_parquet(tmp_path / f"{name}.parquet", compression="zstd", statistics=False)
    with sqlite3.connect(tmp_path / "runs.db") as database:
        database.execute("create table event (body text)")
        database.execute("insert into event values (?)", ("x" * 4000 + SECRET + "x" * 9000,))
    database.close()
    (tmp_path / "left-out").mkdir()
    (tmp_path / "left-out" / "file").write_text(SECRET)
    (tmp_path / "log.json").write_text(json.dumps({"min": SECRET}))
    found = leaks([SECRET], contents(tmp_path, tmp_path / "left-out"))
    assert found == ["bytes.parquet", "in.parquet", "log.json", "runs.db", "text.parquet"]
