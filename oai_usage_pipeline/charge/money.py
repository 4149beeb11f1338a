"""Exact money: quantities times prices, and sums of money split into shares that add up.

Belongs here: the arithmetic, in whole units of 10^-12, the last place of `MONEY`. Floats never do.
"""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

import polars as pl

from oai_usage_pipeline.tables import MONEY

PLACES = 12
"""Decimal places of `MONEY`."""

LARGEST = 2**127 - 1
"""The largest 128-bit number: polars wraps round beyond it in silence."""


def fits(quantity: str, price: str) -> pl.Expr:
    """Whether a quantity times a price can be told exactly in 128 bits; null where either is null."""
    count = pl.col(quantity).cast(pl.Int128)
    at_most = pl.lit(LARGEST, pl.Int128()) // pl.max_horizontal(count.abs(), pl.lit(1, pl.Int128()))
    return _units(price).abs() <= pl.when(count.is_not_null()).then(at_most)


def times(quantity: str, price: str, per: str) -> pl.Expr:
    """quantity x price / per, all columns by name: `per` is how many of a quantity one price is for.

    The product is exact; the quotient is too where it has at most 12 decimal places, else it is
    rounded half to even at the 12th. Only for rows that `fits`.
    """
    product = pl.col(quantity).cast(pl.Int128) * _units(price)
    divisor = pl.col(per).cast(pl.Int128)
    whole, rest = product // divisor, product % divisor
    two, one = pl.lit(2, pl.Int128()), pl.lit(1, pl.Int128())
    is_half, is_odd = rest * two == divisor, whole % two == one
    up = (rest * two > divisor) | (is_half & is_odd)
    return (whole + up.cast(pl.Int128)).reinterpret(dtype=MONEY)


def shares(amount: Decimal, weights: Sequence[int]) -> list[Decimal]:
    """The amount split in proportion to the weights, at 12 places, so that the parts add up to it.

    Each part is rounded down; the units that are left go to the largest remainders, the first of
    equals first. The sum of the weights must be positive, and the amount must have 12 places at most.
    """
    units = as_units(amount)
    total = sum(weights)
    exact = [Fraction(units * weight, total) for weight in weights]
    parts = [int(each // 1) for each in exact]
    left = units - sum(parts)
    order = sorted(range(len(weights)), key=lambda index: (parts[index] - exact[index], index))
    for index in order[:left]:
        parts[index] += 1
    return [as_money(each) for each in parts]


def as_units(amount: Decimal) -> int:
    """An amount in units of 10^-12; raises ValueError if it has more places."""
    with localcontext() as context:
        context.prec = 80
        units = amount.scaleb(PLACES)
        if units != units.to_integral_value():
            raise ValueError(f"{amount} has more than {PLACES} decimal places")
        return int(units)


def as_money(units: int) -> Decimal:
    """So many units of 10^-12 as an amount."""
    with localcontext() as context:
        context.prec = 80
        return Decimal(units).scaleb(-PLACES)


def _units(price: str) -> pl.Expr:
    """A column of `MONEY` as whole numbers of 10^-12."""
    return pl.col(price).cast(MONEY).to_physical().cast(pl.Int128)
