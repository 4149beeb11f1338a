"""Reading Azure Monitor's answers: what counts, what counts once, what is refused."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.reconcile.metrics import LARGEST, read_metrics
from oai_usage_pipeline_tests.reconcile.truth import DAY, Call, answer, measured, series, written

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def read(folder: Path, *texts: str | bytes) -> list[dict[str, object]]:
    files = [written(folder / f"metrics-{number}.json", text) for number, text in enumerate(texts)]
    return read_metrics(files).rows.to_dicts()


def one(total: float | None, name: str = "ProcessedPromptTokens", **dimensions: str) -> str:
    return answer([series(name, {NOON: total}, **dimensions)])


def test_points_of_a_day_add_up_by_deployment_and_model(tmp_path: Path) -> None:
    calls = [Call(hour=1), Call(hour=2), Call(hour=2, deployment="other")]
    assert read(tmp_path, measured(calls)) == [
        {
            "usage_date": DAY,
            "deployment": deployment,
            "model": "gpt-4o",
            "input_tokens": 1_000 * count,
            "output_tokens": 200 * count,
            "total_tokens": None,
            "request_count": count,
        }
        for deployment, count in (("chat", 2), ("other", 1))
    ]


def test_what_the_command_line_prints_is_read_too(tmp_path: Path) -> None:
    """`az monitor metrics list` writes offsets, all aggregations and lower-case dimension names."""
    text = answer([series("GeneratedTokens", {NOON: 7}, modeldeploymentname="chat")])
    printed = json.loads(text)
    [point] = printed["value"][0]["timeseries"][0]["data"]
    point |= {"timeStamp": "2026-03-10T12:00:00+00:00", "average": None, "count": None, "maximum": None}
    printed["value"][0] |= {
        "resourceGroup": "ai",
        "displayDescription": "Number of tokens",
        "errorMessage": None,
    }
    [row] = read(tmp_path, json.dumps(printed))
    assert (row["deployment"], row["output_tokens"]) == ("chat", 7)


def test_null_is_not_measured_and_zero_is_zero(tmp_path: Path) -> None:
    assert read(tmp_path, one(None)) == []
    assert read(tmp_path, one(0))[0]["input_tokens"] == 0


def test_the_same_measurement_in_two_files_counts_once_whatever_their_order(tmp_path: Path) -> None:
    early, late = one(40, ModelName="gpt-4o"), one(50, ModelName="gpt-4o")
    for texts in ((early, late), (late, early), (late, late, early)):
        assert [row["input_tokens"] for row in read(tmp_path, *texts)] == [50]


def test_the_same_day_by_another_interval_is_refused(tmp_path: Path) -> None:
    daily = answer([series("ProcessedPromptTokens", {NOON: 50})], interval="P1D")
    with pytest.raises(ConfigurationError, match="would be counted twice: keep one of them"):
        read(tmp_path, one(50), daily)


def test_the_same_day_split_by_other_dimensions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="would be counted twice"):
        read(tmp_path, one(50, ModelName="gpt-4o"), one(50, ModelDeploymentName="chat"))


def test_the_newer_metrics_measure_the_same_tokens_and_are_not_added(tmp_path: Path) -> None:
    both = [series("ProcessedPromptTokens", {NOON: 50}), series("InputTokens", {NOON: 50})]
    assert [row["input_tokens"] for row in read(tmp_path, answer(both))] == [50]


def test_two_accounts_are_added(tmp_path: Path) -> None:
    other = one(7).replace("gateway-backend", "second-backend")
    assert [row["input_tokens"] for row in read(tmp_path, one(5), other)] == [12]


def test_only_days_that_the_spans_cover_are_whole(tmp_path: Path) -> None:
    morning = answer([series("GeneratedTokens", {NOON: 1})], f"{DAY}T00:00:00Z/{DAY}T13:00:00Z")
    evening = answer([series("GeneratedTokens", {NOON: 1})], f"{DAY}T13:00:00Z/2026-03-11T00:00:00Z")
    a, b = written(tmp_path / "a.json", morning), written(tmp_path / "b.json", evening)
    assert read_metrics([a]).whole_days == frozenset()
    assert read_metrics([b]).whole_days == frozenset()
    too_late = written(tmp_path / "c.json", evening.replace("2026-03-11T00", "2026-03-12T00"))
    assert read_metrics([too_late]).whole_days == frozenset()
    assert read_metrics([b, a]).whole_days == {DAY}


def test_instants_belong_to_their_utc_day(tmp_path: Path) -> None:
    text = one(1).replace('2026-03-10T12:00:00Z"', '2026-03-10T23:30:00-02:00"')
    assert [row["usage_date"] for row in read(tmp_path, text)] == [DAY + timedelta(days=1)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path, one(3).encode(encoding))[0]["input_tokens"] == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b" \r\n\t", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\xff\xfe\x00", "is no text"),
        (b"\x1f\x8b\x08\x00\xff", "is no text in UTF-8: is it compressed"),
        ("null", "no answer of Azure Monitor"),
        ("[]", "no answer of Azure Monitor"),
        ("{}", "timespan: Field required"),
        ('{"rows": []}', "no answer of Azure Monitor"),
        ("{" * 100_000, "no answer of Azure Monitor"),
        (one(1)[:-40], "no answer of Azure Monitor"),
        (one(1) + one(1), "no answer of Azure Monitor"),
        (one(1).replace('"total": 1', '"total": NaN'), "total"),
        (one(1).replace('"total": 1', '"total": Infinity'), "total"),
        (one(1).replace('"total": 1', '"total": 1e400'), "total"),
        (one(1).replace('"total": 1', '"total": "1"'), "total"),
        (one(1).replace('"total": 1', '"total": true'), "total"),
        (one(1).replace('"total": 1', '"total": 1.5'), "whole numbers"),
        (one(1).replace('"total": 1', '"average": 1.5'), "ask with `--aggregation Total`"),
        (one(-1), "total"),
        (one(10**30), "total"),
        (one(LARGEST, ModelName="a")[:-1] + " ", "no answer"),
        (one(1).replace("T12:00:00Z", "T12:00:00"), "timeStamp"),
        (one(1).replace('"2026-03-10T12:00:00Z"', "1773144000"), "timeStamp"),
        (one(1).replace("2026-03-11T00:00:00Z", "tomorrow"), "timespan"),
        (one(1).replace("/2026-03-11T00:00:00Z", ""), "timespan"),
        (one(1).replace("/2026-03-11T00:00:00Z", "/2026-03-11T00:00:00"), "timespan"),
        (one(1).replace("Success", "ResourceThrottled"), "the error ResourceThrottled"),
        (one(1, "Latency"), "Found: 'Latency'"),
        (answer([]), "Found: none"),
    ],
)
def test_what_is_no_answer_is_refused_with_its_name(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(tmp_path, text)
    assert str(tmp_path / "metrics-0.json") in str(refused.value)
    assert message in str(refused.value)
    assert len(str(refused.value)) < 1_000


def test_totals_that_no_account_can_use_are_refused(tmp_path: Path) -> None:
    huge = [series("GeneratedTokens", {NOON + timedelta(minutes=each): LARGEST for each in range(3)})]
    with pytest.raises(ConfigurationError, match="adds up to more than"):
        read(tmp_path, answer(huge))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.json can't be read"):
        read_metrics([tmp_path / "absent.json"])
