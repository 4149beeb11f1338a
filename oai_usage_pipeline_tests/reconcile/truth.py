"""What really happened, and how each side saw it: gold in a real lake, metrics and charges in real files."""

import csv
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl

from oai_usage_pipeline.lake.lake import Lake
from oai_usage_pipeline.tables import TOKEN_USAGE_HOURLY, USAGE_COST_HOURLY

Json = dict[str, Any]

DAY = date(2026, 3, 10)
ACCOUNT = (
    "/subscriptions/0000/resourceGroups/ai/providers/Microsoft.CognitiveServices/accounts/gateway-backend"
)
INPUT_METER, OUTPUT_METER = "gpt 4o 0806 Inp glbl Tokens", "gpt 4o 0806 Outp glbl Tokens"
INPUT_PRICE, OUTPUT_PRICE = Decimal("2.5"), Decimal(10)
"""Per million tokens."""


@dataclass(frozen=True)
class Call:
    """One call at the model: Azure saw it; `is_logged` says whether the gateway did, `is_metered` whether
    the answer held its usage, `is_estimated` whether we estimated it otherwise."""

    input_tokens: int = 1_000
    output_tokens: int = 200
    day: date = DAY
    hour: int = 12
    model: str = "gpt-4o-2024-08-06"
    deployment: str | None = "chat"
    is_logged: bool = True
    is_metered: bool = True
    is_estimated: bool = False
    estimate_error: Decimal = Decimal(0)
    status: str = "metered"

    @property
    def at(self) -> datetime:
        return datetime(self.day.year, self.day.month, self.day.day, self.hour, tzinfo=UTC)

    @property
    def cost(self) -> Decimal:
        return (self.input_tokens * INPUT_PRICE + self.output_tokens * OUTPUT_PRICE) / 1_000_000

    def estimate(self, tokens: int) -> int:
        return int(tokens * (1 + self.estimate_error))


def gold(calls: list[Call]) -> pl.DataFrame:
    """The gold rows of the calls that the gateway logged, one row each."""
    rows = []
    for call in calls:
        if not call.is_logged:
            continue
        status = call.status if call.is_metered else "unmetered"
        row = dict.fromkeys(TOKEN_USAGE_HOURLY.schema)
        row |= {name: 0 for name in row if name.endswith("_count") and not name.startswith("billed_")}
        row |= {"hour_at": call.at, "usage_date": call.day, "subscription": "team", "request_count": 1}
        row |= {"model": call.model, "deployment": call.deployment, f"{status}_count": 1}
        if status == "metered":
            row |= {"input_tokens": call.input_tokens, "output_tokens": call.output_tokens}
            row |= {"total_tokens": call.input_tokens + call.output_tokens}
        if call.is_estimated:
            row |= {"estimated_count": 1, "estimated_input_tokens": call.estimate(call.input_tokens)}
            row |= {"estimated_output_tokens": call.estimate(call.output_tokens)}
        rows.append(row)
    return pl.DataFrame(rows, schema=TOKEN_USAGE_HOURLY.schema)


def costs(
    calls: list[Call], *, currency: str | None = "USD", factor: Decimal = Decimal(1), is_priced: bool = True
) -> pl.DataFrame:
    """The cost rows of the calls that the gateway logged, input and output apart."""
    rows = []
    for call in calls:
        for bucket, tokens, price in (
            ("input", call.input_tokens, INPUT_PRICE),
            ("output", call.output_tokens, OUTPUT_PRICE),
        ):
            if not call.is_logged or not (call.is_metered or call.is_estimated):
                continue
            row = dict.fromkeys(USAGE_COST_HOURLY.schema)
            row |= {"hour_at": call.at, "usage_date": call.day, "usage_month": call.day.replace(day=1)}
            row |= {"model": call.model, "deployment": call.deployment, "bucket": bucket}
            if call.is_metered:
                row["quantity"] = tokens
            else:
                row["estimated_quantity"] = tokens
            if is_priced:
                cost = tokens * price * factor / 1_000_000
                row |= {"price_id": f"p-{bucket}", "price": price * factor, "currency": currency}
                row |= {"cost" if call.is_metered else "estimated_cost": cost}
            rows.append(row)
    return pl.DataFrame(rows, schema=USAGE_COST_HOURLY.schema)


def lake_of(folder: Path, calls: list[Call], cost_rows: pl.DataFrame | None = None) -> Lake:
    """A real lake with gold and cost of the calls."""
    lake = Lake(str(folder / "lake"))
    lake.table(TOKEN_USAGE_HOURLY).append(gold(calls), {})
    lake.table(USAGE_COST_HOURLY).append(costs(calls) if cost_rows is None else cost_rows, {})
    return lake


def series(name: str, points: dict[datetime, float | None], **dimensions: str) -> Json:
    """A metric with one time series, as the REST API answers."""
    named = [
        {"name": {"value": key, "localizedValue": key}, "value": value} for key, value in dimensions.items()
    ]
    return {
        "id": f"{ACCOUNT}/providers/Microsoft.Insights/metrics/{name}",
        "type": "Microsoft.Insights/metrics",
        "name": {"value": name, "localizedValue": name},
        "unit": "Count",
        "errorCode": "Success",
        "timeseries": [
            {
                "metadatavalues": named,
                "data": [
                    {"timeStamp": f"{at:%Y-%m-%dT%H:%M:%SZ}", "total": total} for at, total in points.items()
                ],
            }
        ],
    }


def answer(metrics: list[Json], timespan: str | None = None, interval: str = "PT1H") -> str:
    """An answer of Azure Monitor; by default of the whole day `DAY`."""
    return json.dumps(
        {
            "cost": 0,
            "timespan": timespan or f"{DAY}T00:00:00Z/{DAY + timedelta(days=1)}T00:00:00Z",
            "interval": interval,
            "value": metrics,
            "namespace": "Microsoft.CognitiveServices/accounts",
            "resourceregion": "swedencentral",
        }
    )


def measured(
    calls: list[Call],
    split: tuple[str, ...] = ("ModelDeploymentName", "ModelName"),
    *,
    with_requests: bool = True,
    timespan: str | None = None,
) -> str:
    """What Azure Monitor measured of all calls, logged or not."""
    metrics = []
    for call in calls:
        values = {"ModelDeploymentName": call.deployment or "somewhere", "ModelName": call.model[:-11]}
        named = {name: values[name] for name in split}
        metrics.append(series("ProcessedPromptTokens", {call.at: call.input_tokens}, **named))
        metrics.append(series("GeneratedTokens", {call.at: call.output_tokens}, **named))
        if with_requests:
            metrics.append(series("AzureOpenAIRequests", {call.at: 1}, **named))
    return answer(_joined(metrics), timespan)


def _joined(metrics: list[Json]) -> list[Json]:
    """Azure Monitor answers one point for each hour, and one series for each combination of dimensions."""
    joined: dict[str, Json] = {}
    sums: dict[tuple[str, str, str], float] = {}
    for metric in metrics:
        [part] = metric["timeseries"]
        name = metric["name"]["value"]
        dimensions = json.dumps(part["metadatavalues"])
        for point in part["data"]:
            key = (name, dimensions, point["timeStamp"])
            sums[key] = sums.get(key, 0) + point["total"]
        joined.setdefault(name, {**metric, "timeseries": []})
    for name, dimensions in dict.fromkeys(key[:2] for key in sums):
        data = [
            {"timeStamp": at, "total": total}
            for (n, d, at), total in sums.items()
            if (n, d) == (name, dimensions)
        ]
        joined[name]["timeseries"].append({"metadatavalues": json.loads(dimensions), "data": data})
    return list(joined.values())


EA_HEADER = (
    *(
        "SubscriptionId",
        "ResourceGroup",
        "Date",
        "ProductName",
        "MeterCategory",
        "MeterSubCategory",
        "MeterId",
    ),
    *("MeterName", "UnitOfMeasure", "Quantity", "EffectivePrice", "CostInBillingCurrency", "ConsumedService"),
    *("ResourceId", "ChargeType", "UnitPrice", "BillingCurrencyCode", "Tags"),
)


def charge(meter: str, tokens: int, cost: Decimal, **changes: str) -> dict[str, str]:
    """A row of an EA export of actual cost; the quantity is in thousands of tokens."""
    row = dict.fromkeys(EA_HEADER, "")
    row |= {"Date": f"{DAY:%m/%d/%Y}", "MeterCategory": "Foundry Models", "MeterSubCategory": "Azure OpenAI"}
    row |= {"MeterName": meter, "UnitOfMeasure": "1K", "Quantity": str(Decimal(tokens) / 1_000)}
    row |= {"CostInBillingCurrency": str(cost), "BillingCurrencyCode": "USD", "ChargeType": "Usage"}
    row |= {"ResourceId": ACCOUNT, "Tags": '{"team":"a, b"}'}
    return row | changes


def charged(calls: list[Call], **changes: str) -> list[dict[str, str]]:
    """What Azure charged for all calls, logged or not, at the prices of this module."""
    rows = []
    for call in calls:
        dated = {"Date": f"{call.day:%m/%d/%Y}", **changes}
        cost = call.input_tokens * INPUT_PRICE / 1_000_000
        rows.append(charge(INPUT_METER, call.input_tokens, cost, **dated))
        cost = call.output_tokens * OUTPUT_PRICE / 1_000_000
        rows.append(charge(OUTPUT_METER, call.output_tokens, cost, **dated))
    return rows


def export(rows: list[dict[str, str]]) -> str:
    """Rows as the CSV of an export."""
    text = StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def written(file: Path, text: str | bytes) -> Path:
    """The file, written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file
