"""Models are recognised under the names that Azure's metrics, meters and answers give them."""

import pytest

from oai_usage_pipeline.reconcile.names import meter_family, model_family, versioned_family

FAMILIES = {
    *(
        "gpt-3.5-turbo",
        "gpt-4",
        "gpt-4-32k",
        "gpt-4-turbo",
        "gpt-4o",
        "gpt-4o-mini",
        "gpt-4.1",
        "gpt-4.1-mini",
    ),
    *("gpt-5", "gpt-5-mini", "gpt-5.1", "o1", "o1-mini", "o3", "o3-mini", "o4-mini"),
    *("text-embedding-3-large", "text-embedding-ada-002"),
}


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("gpt-35-turbo-0125", "gpt-3.5-turbo"),
        ("gpt-4-1106-preview", "gpt-4"),
        ("gpt-4-32k-0613", "gpt-4-32k"),
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("text-embedding-ada-002", "text-embedding-ada-002"),
        ("o3", "o3"),
    ],
)
def test_a_family_is_the_name_without_its_release(name: str, family: str) -> None:
    assert model_family(name) == family


@pytest.mark.parametrize(
    ("name", "version", "family"),
    [
        ("gpt-4o", "2024-08-06", "gpt-4o"),
        ("gpt-4", "turbo-2024-04-09", "gpt-4-turbo"),
        ("gpt-35-turbo", "0125", "gpt-3.5-turbo"),
        ("text-embedding-3-large", "1", "text-embedding-3-large"),
        ("gpt-4o", None, "gpt-4o"),
    ],
)
def test_the_metrics_name_a_model_in_two_dimensions(name: str, version: str | None, family: str) -> None:
    assert versioned_family(name, version) == family


@pytest.mark.parametrize(
    ("meter", "family"),
    [
        ("gpt 4o 0806 Inp Data Zone Tokens", "gpt-4o"),
        ("gpt-4o-mini-0718-Outp-regnl Tokens", "gpt-4o-mini"),
        ("5.1 opt Gl 1M Tokens", "gpt-5.1"),
        ("GPT 5 Mini cchd Inpt DZone 1M Tokens", "gpt-5-mini"),
        ("4.1 pp inp Gl Tokens", "gpt-4.1"),
        ("o3 mini 0131 cached input Data Zone Tokens", "o3-mini"),
        ("o1 1217 Batch Inp glbl Tokens", "o1"),
        ("gpt-35-turbo16K-0125 Outp-glbl Tokens", "gpt-3.5-turbo"),
        ("gpt-4-8K-Batch-Outp-regnl Tokens", "gpt-4"),
        ("gpt-4-32K-Input-regional Tokens", "gpt-4-32k"),
        ("Az-GPT4-Turbo-128K Output Tokens", "gpt-4-turbo"),
        ("embedding-ada-glbl Tokens", "text-embedding-ada-002"),
        ("text-embedding-3-large-glbl Tokens", "text-embedding-3-large"),
        ("gpt-4o-rt-aud-0603 Inp regnl Tokens", None),
        ("o1-pro Inp regnl Tokens", None),
        ("gpt-4o-0806-FT-outp-regnl Tokens", None),
        ("Tokens", None),
        ("", None),
    ],
)
def test_a_meter_is_for_a_model_or_for_none_of_ours(meter: str, family: str | None) -> None:
    assert meter_family(meter, FAMILIES) == family


def test_shipped_meters_are_read_as_an_independent_parser_reads_them() -> None:
    """azure-genai-prices parses the same names by other means; ours must never name another model."""
    meters = pytest.importorskip("azure_genai_prices.meters")
    from importlib.resources import files
    from json import loads

    items = loads((files("azure_genai_prices.data") / "snapshot.json").read_text())["items"]
    theirs = {}
    for item in items:
        if "OpenAI" in item["productName"] and item["meterName"].endswith("Tokens"):
            for key in meters.parse_catalog([item])[0]:
                theirs[item["meterName"]] = key[0]
    ours = {meter: meter_family(meter, FAMILIES) for meter in theirs}
    named = {meter: family for meter, family in ours.items() if family}
    assert len(named) > 200
    size = ("-4k", "-8k", "-16k", "-128k", "4k", "16k", "128k")
    for meter, family in named.items():
        other = model_family(theirs[meter]).replace("gpt4", "gpt-4").replace("turbo128k", "turbo")
        for each in size:
            other = other.removesuffix(each) if family != "gpt-4-32k" else other
        assert model_family(other) == family, meter
