"""Pages as the Azure Retail Prices API's reference shows them, to be served by a stand-in."""

from typing import Any

from oai_usage_pipeline_tests.reference.management_api import Answer


def line(meter: str, price: float, region: str = "eastus", **changes: Any) -> dict[str, Any]:
    """One item of a page; https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices."""
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": price,
        "unitPrice": price,
        "armRegionName": region,
        "location": "US East",
        "effectiveStartDate": "2026-06-01T00:00:00Z",
        "meterId": "00000000-0000-0000-0000-000000000000",
        "meterName": meter,
        "productId": "DZH318Z00000",
        "skuId": "DZH318Z00000/0000",
        "productName": "Azure OpenAI",
        "skuName": meter.removesuffix(" Tokens"),
        "serviceName": "Foundry Models",
        "serviceId": "DZH000000000",
        "serviceFamily": "AI + Machine Learning",
        "unitOfMeasure": "1M" if "1M" in meter else "1K",
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": "",
        **changes,
    }


def page(*lines: dict[str, Any], next_link: str | None = None) -> Answer:
    """A page of the list."""
    return Answer(
        {
            "BillingCurrency": "USD",
            "CustomerEntityId": "Default",
            "CustomerEntityType": "Retail",
            "Items": list(lines),
            "NextPageLink": next_link,
            "Count": len(lines),
        }
    )
