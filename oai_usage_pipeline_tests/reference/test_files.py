"""CSV files as people and spreadsheets write them: read alike, and every fault is named with its place."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.reference.findings import MOST_SHOWN
from oai_usage_pipeline.reference.subscriptions import FILE, read_subscriptions
from oai_usage_pipeline.tables import SUBSCRIPTIONS
from oai_usage_pipeline_tests.reference.writing import refusal, write

HEADER = "subscription,team"


def test_a_file_becomes_the_rows_of_its_table(tmp_path: Path) -> None:
    write(
        tmp_path,
        FILE,
        "team,subscription,valid_from,valid_to,owner",
        "Checkout,sub-1,2026-04-01,2026-05-01T02:00+02:00,ann@example.com",
    )
    rows = read_subscriptions(tmp_path)
    assert dict(rows.schema) == SUBSCRIPTIONS.schema
    assert rows.to_dicts() == [
        {
            "subscription": "sub-1",
            "name": None,
            "team": "Checkout",
            "cost_centre": None,
            "owner": "ann@example.com",
            "environment": None,
            "valid_from": datetime(2026, 4, 1, tzinfo=UTC),
            "valid_to": datetime(2026, 5, 1, tzinfo=UTC),
        }
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"subscription,team\nsub-1,M\xc3\xbcller\n",
        b"\xef\xbb\xbfsubscription,team\r\nsub-1,M\xc3\xbcller\r\n",
        b"subscription;team\nsub-1;M\xc3\xbcller",
        b'"subscription","team"\n"sub-1","M\xc3\xbcller"\n',
        b"\n \n# a, \"comment' of ours\nsubscription,team\n\n  # another\n sub-1 ,\tM\xc3\xbcller \n\n",
        b"subscription,team,,\nsub-1,M\xc3\xbcller,,\n,,,\n",
        b'subscription,team\nsub-1, "M\xc3\xbcller"\n',
        b"subscription,team\rsub-1,M\xc3\xbcller\r",
    ],
    ids=[
        "plain",
        "byte order mark and CRLF",
        "semicolons, no last newline",
        "quoted",
        "comments, blank lines, white space",
        "a spreadsheet's empty columns and rows",
        "a space before the quote",
        "old line ends",
    ],
)
def test_the_same_rows_however_they_are_written(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / FILE).write_bytes(raw)
    rows = read_subscriptions(tmp_path)
    assert rows.select("subscription", "team").rows() == [("sub-1", "Müller")]


@pytest.mark.parametrize("team", ["=SUM(A1)", "+1", "-1", "@x", "'", '=cmd|"/C calc"!A0', "NA", "null", "#1"])
def test_what_a_spreadsheet_would_execute_or_drop_is_text(tmp_path: Path, team: str) -> None:
    quoted = '"' + team.replace('"', '""') + '"'
    write(tmp_path, FILE, HEADER, f"sub-1,{quoted}")
    assert read_subscriptions(tmp_path)["team"].to_list() == [team]


def test_separators_and_comment_signs_within_quotes_are_text(tmp_path: Path) -> None:
    write(tmp_path, FILE, HEADER, 'sub-1,"Search, # and ""Checkout"""')
    assert read_subscriptions(tmp_path)["team"].to_list() == ['Search, # and "Checkout"']


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    write(
        tmp_path, FILE, "# one", HEADER, "", "# four", 'sub-1,"two', '# lines"', "sub-2,", "# eight", "sub-3,"
    )
    said = refusal(read_subscriptions, tmp_path)
    assert f"{FILE}, line 5, column team: found 'two\\n# lines': expected one line" in said
    assert f"{FILE}, line 7, column team: is empty, but required (Team that is charged)" in said
    assert f"{FILE}, line 9, column team" in said
    assert "has 3 faults" in said


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("subscription,team,cost_center", "unknown column 'cost_center': did you mean cost_centre?"),
        ("subscription,Team", "unknown column 'Team': did you mean team?"),
        ("subscription,team,colour", "unknown column 'colour': expected are subscription, name, team"),
        ("subscription,name", "column team: is missing in the first line; it is required"),
        ("subscription,team,team", "column team: stands 2 times in the first line, expected once"),
        ("subscription,,team", "unknown column '': expected are"),
        ("# nothing", "the file is empty; expected a first line with columns: subscription, name, team"),
    ],
)
def test_a_header_that_is_not_the_tables_is_refused(tmp_path: Path, header: str, expected: str) -> None:
    write(tmp_path, FILE, header)
    assert expected in refusal(read_subscriptions, tmp_path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sub-1", "line 2: the record has 1 of 2 values"),
        ("sub-1,a,b", "line 2: the record has 3 of 2 values"),
        ('sub-1,"a', "line 2: this is no CSV record"),
        ('sub-1,"a"b', "line 2: this is no CSV record"),
        ('"sub"-1,a\nsub-2,', "line 3, column team: is empty"),
        ("sub-1," + "x" * 200_000, "line 2: this is no CSV record"),
        ("sub-1," + "x" * 300, "column team: found 'xxx"),
        ("sub-1,a\x1b[31m", "expected one line without control characters"),
        ("sub-1,a\u2028b", "line 2, column team: found 'a\\u2028b': expected one line"),
        ("sub-1,a\x85b", "line 2, column team: found 'a\\x85b': expected one line"),
        ("sub-1,a\x00", "expected one line without control characters"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(tmp_path: Path, line: str, expected: str) -> None:
    write(tmp_path, FILE, HEADER, line)
    said = refusal(read_subscriptions, tmp_path)
    assert expected in said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("01.04.2026", "expected a day like 2026-04-01"),
        ("20260401", "expected a day like 2026-04-01"),
        ("2026-W14-3", "expected a day like 2026-04-01"),
        ("46113", "expected a day like 2026-04-01"),
        ("2026-02-30", "no such time"),
        ("2026-04-01T24:00Z", "no such time"),
        ("2026-04-01T12:60Z", "no such time"),
        ("0000-01-01", "no such time"),
        ("2026-04-01T12:00", "expected a zone: add Z for UTC"),
        ("2026-04-01T12:30Z", "expected a whole hour of UTC"),
        ("2026-04-01T12:00+05:30", "expected a whole hour of UTC"),
        ("2026-04-01T12:00:01Z", "expected a whole hour of UTC"),
        ("2026-04-01T12:00:00.000001Z", "expected a whole hour of UTC"),
        ("0001-01-01T00:00+14:00", "expected a time that also exists in UTC"),
        ("9999-12-31T23:00-05:00", "expected a time that also exists in UTC"),
    ],
)
def test_an_instant_is_a_whole_hour_with_its_zone(tmp_path: Path, found: str, expected: str) -> None:
    write(tmp_path, FILE, "subscription,team,valid_from", f"sub-1,a,{found}")
    said = refusal(read_subscriptions, tmp_path)
    assert f"{FILE}, line 2, column valid_from: found '{found}': {expected}" in said


@pytest.mark.parametrize(
    ("written", "hour"),
    [
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2026-04-01T06:00Z", datetime(2026, 4, 1, 6, tzinfo=UTC)),
        ("2026-04-01 06:00:00.000z", datetime(2026, 4, 1, 6, tzinfo=UTC)),
        ("2026-04-01T00:00:00+02:00", datetime(2026, 3, 31, 22, tzinfo=UTC)),
        ("2026-04-01T00:30:00+05:30", datetime(2026, 3, 31, 19, tzinfo=UTC)),
        ("9999-12-31", datetime(9999, 12, 31, tzinfo=UTC)),
    ],
)
def test_an_hour_is_kept_in_utc(tmp_path: Path, written: str, hour: datetime) -> None:
    write(tmp_path, FILE, "subscription,team,valid_from", f"sub-1,a,{written}")
    assert read_subscriptions(tmp_path)["valid_from"].to_list() == [hour]


@pytest.mark.parametrize("end", ["2026-04-01", "2026-03-31T23:00Z"])
def test_a_row_must_begin_before_it_ends(tmp_path: Path, end: str) -> None:
    write(tmp_path, FILE, "subscription,team,valid_from,valid_to", f"sub-1,a,2026-04-01,{end}")
    assert "line 2: valid_from 2026-04-01T00:00Z is not before valid_to" in refusal(
        read_subscriptions, tmp_path
    )


def test_all_faults_are_said_at_once_up_to_a_bound(tmp_path: Path) -> None:
    write(tmp_path, FILE, HEADER, *(f"sub-{number}," for number in range(1000)))
    said = refusal(read_subscriptions, tmp_path)
    assert said.count("is empty, but required") == MOST_SHOWN
    assert "has 1,000 faults" in said
    assert said.endswith(f"... and 980 more in {FILE}")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            b"subscription,team\nsub-1,M\xfcller\n",
            "line 2: this is not UTF-8 text: save the file as 'CSV UTF-8'",
        ),
        ("subscription,team\n".encode("utf-16"), "it is UTF-16 now"),
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
    ],
)
def test_bytes_that_are_no_such_text_are_refused(tmp_path: Path, raw: bytes, expected: str) -> None:
    (tmp_path / FILE).write_bytes(raw)
    assert expected in refusal(read_subscriptions, tmp_path)


def test_a_folder_in_the_place_of_the_file_is_one_message(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(ConfigurationError, match="can't be read: Is a directory"):
        read_subscriptions(tmp_path)


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    assert read_subscriptions(tmp_path / "nowhere").equals(SUBSCRIPTIONS.empty())
