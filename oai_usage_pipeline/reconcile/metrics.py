"""Reads answers of Azure Monitor's metrics API: tokens and requests by day, deployment and model.

Belongs here: the file format (REST `metrics` and `az monitor metrics list`, which prints the same) and
what counts as the same measurement. Sources: docs/RECONCILIATION.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from oai_usage_pipeline.errors import ConfigurationError
from oai_usage_pipeline.reconcile.names import versioned_family
from oai_usage_pipeline.reconcile.text import file_text

CLASSIC = {
    "processedprompttokens": "input_tokens",
    "generatedtokens": "output_tokens",
    "tokentransaction": "total_tokens",
    "processedinferencetokens": "total_tokens",
    "azureopenairequests": "request_count",
}
"""The category `Azure OpenAI - Usage` of Microsoft.CognitiveServices/accounts, in lower case."""

MODELS = {
    "inputtokens": "input_tokens",
    "outputtokens": "output_tokens",
    "totaltokens": "total_tokens",
    "modelrequests": "request_count",
}
"""The newer category `Models - Usage`: it measures the same tokens again, and is never added to the other."""

MEASURES = ("input_tokens", "output_tokens", "total_tokens", "request_count")

THEIR_TOKENS = {
    "usage_date": pl.Date(),
    "deployment": pl.String(),
    "model": pl.String(),
    **{measure: pl.Int64() for measure in MEASURES},
}

LARGEST = 2**53
"""Azure writes totals as floating point; beyond this they are not exact."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True, populate_by_name=True)


class _Name(_Part):
    value: str


class _Dimension(_Part):
    name: _Name
    value: str


_Number = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]


class _Point(_Part):
    at: AwareDatetime = Field(alias="timeStamp")
    total: _Number | None = None
    average: float | None = None


class _Series(_Part):
    metadatavalues: list[_Dimension] | None = None
    data: list[_Point] = Field(default_factory=list)

    def dimensions(self) -> dict[str, str]:
        """Azure writes the names of dimensions in either case."""
        return {each.name.value.lower(): each.value for each in self.metadatavalues or ()}


class _Metric(_Part):
    id: str
    name: _Name
    timeseries: list[_Series]
    error_code: str | None = Field(default=None, alias="errorCode")

    def resource(self) -> str:
        return self.id.lower().partition("/providers/microsoft.insights/")[0]


class _Answer(_Part):
    timespan: str
    interval: str | None = None
    value: list[_Metric]


@dataclass(frozen=True)
class Metrics:
    """What Azure Monitor measured.

    `rows` has the columns `THEIR_TOKENS`; null is "not measured". `whole_days` are those that the files'
    time spans cover from midnight to midnight UTC.
    """

    rows: pl.DataFrame
    whole_days: frozenset[date]


@dataclass(frozen=True)
class _Key:
    resource: str
    metric: str
    day: date


_Dimensions = tuple[tuple[str, str], ...]


def read_metrics(files: Sequence[Path]) -> Metrics:
    """Read answers in any order; the same measurement in two of them counts once, with its larger total.

    Totals of Azure Monitor only grow until they have settled, so the larger one is the later one. Raises
    ConfigurationError naming the file, when it is no such answer, or when two files measure the same day
    by another interval or other dimensions: these can't be told apart from other measurements.
    """
    points: dict[_Key, dict[tuple[_Dimensions, datetime], int]] = defaultdict(dict)
    shapes: dict[_Key, tuple[object, Path]] = {}
    spans = []
    for file in files:
        answer = _answer(file)
        spans.append(_span(file, answer.timespan))
        for metric, series in _known_series(file, answer):
            named = series.dimensions()
            for point in series.data:
                if (total := _total(file, metric, point)) is None:
                    continue
                at = point.at.astimezone(UTC)
                key = _Key(metric.resource(), metric.name.value.lower(), at.date())
                _one_shape(shapes, key, (answer.interval, frozenset(named)), file)
                place = (tuple(sorted(named.items())), at)
                points[key][place] = max(total, points[key].get(place, 0))
    return Metrics(_rows(points), _whole_days(spans, {key.day for key in points}))


def _answer(file: Path) -> _Answer:
    try:
        return _Answer.model_validate_json(file_text(file))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in found["loc"]) or "the file"
        raise ConfigurationError(
            f"{file} is no answer of Azure Monitor's metrics ({where}: {found['msg']}). Expected is what "
            "`az monitor metrics list --output json` prints, with `timespan` and `value`"
        ) from None


def _known_series(file: Path, answer: _Answer) -> Iterable[tuple[_Metric, _Series]]:
    known = [each for each in answer.value if each.name.value.lower() in CLASSIC | MODELS]
    if not known:
        found = ", ".join(sorted(repr(each.name.value[:40]) for each in answer.value)[:20]) or "none"
        raise ConfigurationError(
            f"{file} holds no token metric. Found: {found}. Expected: ProcessedPromptTokens and "
            "GeneratedTokens (or InputTokens and OutputTokens), and AzureOpenAIRequests"
        )
    for metric in known:
        if metric.error_code not in (None, "Success"):
            raise ConfigurationError(
                f"{file}: Azure Monitor answered {metric.name.value} with the error {metric.error_code}: "
                "ask again"
            )
        for series in metric.timeseries:
            yield metric, series


def _total(file: Path, metric: _Metric, point: _Point) -> int | None:
    if point.total is None:
        if point.average is not None:
            raise ConfigurationError(
                f"{file}: {metric.name.value} has averages, no totals: ask with `--aggregation Total`"
            )
        return None
    if not point.total.is_integer():
        raise ConfigurationError(
            f"{file}: {metric.name.value} has a total of {point.total} at {point.at.isoformat()}: "
            "tokens and requests are whole numbers"
        )
    return int(point.total)


def _one_shape(shapes: dict[_Key, tuple[object, Path]], key: _Key, shape: object, file: Path) -> None:
    seen, other = shapes.setdefault(key, (shape, file))
    if seen != shape:
        raise ConfigurationError(
            f"{other} and {file} both hold {key.metric} of {key.day} of the same resource, by another "
            "interval or split by other dimensions, and would be counted twice: keep one of them"
        )


def _span(file: Path, timespan: str) -> tuple[datetime, datetime]:
    try:
        first, last = (datetime.fromisoformat(each) for each in timespan.split("/"))
        if first.tzinfo is None or last.tzinfo is None:
            raise ValueError
    except ValueError:
        raise ConfigurationError(
            f"{file}: the timespan is not two instants such as 2026-03-10T00:00:00Z/2026-03-11T00:00:00Z"
        ) from None
    return first, last


def _whole_days(spans: Iterable[tuple[datetime, datetime]], days: Iterable[date]) -> frozenset[date]:
    """Adjacent and overlapping spans together may cover a day that none of them covers alone."""
    merged: list[tuple[datetime, datetime]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    midnights = {day: datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days}
    return frozenset(
        day
        for day, midnight in midnights.items()
        if any(first <= midnight and last - midnight >= timedelta(days=1) for first, last in merged)
    )


def _rows(points: dict[_Key, dict[tuple[_Dimensions, datetime], int]]) -> pl.DataFrame:
    newer = {(key.resource, key.day, MODELS[key.metric]) for key in points if key.metric in MODELS}
    sums: dict[tuple[date, str | None, str | None], dict[str, int]] = defaultdict(dict)
    for key, measured in points.items():
        measure = (CLASSIC | MODELS)[key.metric]
        if key.metric in CLASSIC and (key.resource, key.day, measure) in newer:
            continue
        for (dimensions, _), total in measured.items():
            row = sums[key.day, *_subject(dict(dimensions))]
            row[measure] = row.get(measure, 0) + total
            if row[measure] > LARGEST:
                raise ConfigurationError(f"{key.metric} of {key.day} adds up to more than {LARGEST:,}")
    rows = [
        {"usage_date": day, "deployment": deployment, "model": model, **measured}
        for (day, deployment, model), measured in sums.items()
    ]
    return pl.DataFrame(rows, schema=THEIR_TOKENS).sort("usage_date", "deployment", "model")


def _subject(named: dict[str, str]) -> tuple[str | None, str | None]:
    model = named.get("modelname")
    family = versioned_family(model, named.get("modelversion")) if model else None
    return named.get("modeldeploymentname") or None, family
