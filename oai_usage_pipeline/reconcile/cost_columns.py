"""Which columns a cost export has: their names differ by agreement, version and dataset.

Belongs here: the names and what they mean. Sources: docs/RECONCILIATION.md. Values are read in
`cost_export`.
"""

from collections.abc import Sequence
from pathlib import Path

from oai_usage_pipeline.errors import ConfigurationError

ACTUAL = {
    "date": ("date", "usagedatetime", "usagedate"),
    "meter": ("metername", "meter"),
    "quantity": ("quantity", "usagequantity"),
    "unit": ("unitofmeasure",),
    "cost": ("costinbillingcurrency", "pretaxcost", "cost"),
    "currency": ("billingcurrency", "billingcurrencycode", "currency", "currencycode"),
    "resource": ("resourceid", "instanceid", "instancename"),
    "charge": ("chargetype",),
    "unit_price": ("unitprice",),
}
"""Actual cost and usage details of EA, MCA and pay-as-you-go, in lower case without punctuation."""

FOCUS = {
    "date": ("chargeperiodstart",),
    "meter": ("skumeter", "xskumetername"),
    "quantity": ("pricingquantity",),
    "unit": ("xpricingunitdescription", "pricingunit"),
    "cost": ("billedcost",),
    "currency": ("billingcurrency",),
    "resource": ("resourceid",),
    "charge": ("chargecategory",),
    "unit_price": (),
}
"""FOCUS cost and usage details; Azure's own columns begin with `x_`."""

SERVICE = (
    *("metercategory", "metersubcategory", "product", "productname"),
    *("servicename", "xskumetercategory", "xskumetersubcategory", "xskudescription"),
)
"""Where a row says that it is Azure OpenAI: as category, or, since it is a part of Foundry, below it."""

REQUIRED = ("date", "meter", "quantity", "unit", "cost", "currency", "resource")


class CostColumns:
    """Where in a row of one file each thing stands."""

    def __init__(self, file: Path, header: Sequence[str]) -> None:
        """Raises ConfigurationError naming the expected columns and those found."""
        places: dict[str, int] = {}
        for place, name in enumerate(header):
            places.setdefault(_plain(name), place)
        names = FOCUS if "chargeperiodstart" in places else ACTUAL
        self.width = len(header)
        self._places = {
            what: next((places[each] for each in choices if each in places), None)
            for what, choices in names.items()
        }
        self._service = [places[each] for each in SERVICE if each in places]
        lacking = [what for what in REQUIRED if self._places[what] is None]
        if lacking or not self._service:
            raise ConfigurationError(_lacking(file, header, names, lacking))

    def value(self, row: Sequence[str], what: str) -> str:
        """A row's text for one of the keys of `ACTUAL`; empty where the file has no such column."""
        place = self._places[what]
        return "" if place is None else row[place].strip()

    def is_openai(self, row: Sequence[str]) -> bool:
        """Whether the row is a charge of Azure OpenAI."""
        return any("openai" in row[place].lower() for place in self._service)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _lacking(file: Path, header: Sequence[str], names: dict[str, tuple[str, ...]], lacking: list[str]) -> str:
    if len(header) == 1 and ";" in header[0]:
        return (
            f"{file} is separated by semicolons. Expected is the file as Cost Management wrote it, separated "
            "by commas: a spreadsheet that saves it anew may also change its numbers"
        )
    expected = [names[what][0] for what in lacking] or ["metercategory"]
    found = ", ".join(repr(each[:40]) for each in header[:80])
    return (
        f"{file} is no cost export: it lacks {', '.join(expected)}. Found columns: {found}. Expected is an "
        "export of actual cost (cost and usage details), or of FOCUS"
    )
