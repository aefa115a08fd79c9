"""Quantities: `500m`, `1536Mi`, `1e3`, exactly.

A quantity is an integer number of nano-units, which is the finest that apimachinery `pkg/api/resource` keeps, so
sums and comparisons never round. The format in which it was written (decimal SI, binary SI or decimal exponent) is
remembered for printing. Schedulers and quotas parse the same few texts all the time, so parsing is cached.
"""

from __future__ import annotations

import re
from functools import lru_cache, total_ordering
from typing import Literal

import attrs

Format = Literal["DecimalSI", "BinarySI", "DecimalExponent"]

NANO = 10**9
MAX_VALUE = 2**63 - 1
"""Larger quantities are cut to this, as upstream does."""

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = {0: "", **{exponent: suffix for suffix, exponent in _BINARY.items()}}

_SYNTAX = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_EXPONENT = re.compile(r"[eE]([-+]?[0-9]+)")
FORMAT_WRONG = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
SUFFIX_WRONG = "unable to parse quantity's suffix"


@total_ordering
@attrs.frozen(eq=False)
class Quantity:
    """An exact amount: `nanos` billionths of a unit, printed in `format`. Equal amounts are equal in any format."""

    nanos: int
    format: Format = "DecimalSI"

    def value(self) -> int:
        """Whole units, rounded away from zero."""
        return _divide_up(self.nanos, NANO)

    def milli(self) -> int:
        """Thousandths, rounded away from zero."""
        return _divide_up(self.nanos, NANO // 1000)

    def __bool__(self) -> bool:
        return self.nanos != 0

    def __eq__(self, other: object) -> bool:
        return self.nanos == other.nanos if isinstance(other, Quantity) else NotImplemented

    def __lt__(self, other: Quantity) -> bool:
        return self.nanos < other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos + other.nanos, self.format if self.nanos else other.format)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos - other.nanos, self.format if self.nanos else other.format)

    def __neg__(self) -> Quantity:
        return Quantity(-self.nanos, self.format)

    def __mul__(self, factor: int) -> Quantity:
        return Quantity(self.nanos * factor, self.format)

    def __str__(self) -> str:
        """The canonical text: the largest suffix that loses nothing."""
        if not self.nanos:
            return "0"
        if self.format == "BinarySI" and abs(self.nanos) >= 1024 * NANO and self.nanos % NANO == 0:
            return _binary_text(self.nanos // NANO)
        return _decimal_text(self.nanos, self.format)


ZERO = Quantity(0)


def parse_quantity(value: str | int | float) -> Quantity:
    """The quantity that a JSON string or number stands for; raises ValueError with upstream's text.

    What is finer than a billionth is rounded away from zero.
    """
    if isinstance(value, bool):
        raise ValueError(FORMAT_WRONG)
    return _parse(value.strip() if isinstance(value, str) else repr(value))


def from_value(units: int, format: Format = "DecimalSI") -> Quantity:
    """So many whole units."""
    return Quantity(units * NANO, format)


def from_milli(thousandths: int, format: Format = "DecimalSI") -> Quantity:
    """So many thousandths of a unit."""
    return Quantity(thousandths * (NANO // 1000), format)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Quantity:
    match = _SYNTAX.fullmatch(text)
    if not match or not (match[2] or match[3]):
        raise ValueError(FORMAT_WRONG)
    sign, whole, fraction, suffix = match[1], match[2], match[3] or "", match[4]
    base, exponent, format_ = _scale(suffix)
    digits, places = int(whole + fraction), len(fraction)
    if base == 2:
        nanos = _divide_up((digits << exponent) * NANO, 10**places)
    else:
        power = min(exponent - places + 9, 64)  # beyond that the result is cut to MAX_VALUE anyway
        nanos = digits * 10**power if power >= 0 else _divide_up(digits, 10 ** min(-power, len(text) + 64))
    nanos = min(nanos, MAX_VALUE * NANO)
    return Quantity(-nanos if sign == "-" else nanos, format_)


def _scale(suffix: str) -> tuple[int, int, Format]:
    if suffix in _DECIMAL:
        return 10, _DECIMAL[suffix], "DecimalSI"
    if suffix in _BINARY:
        return 2, _BINARY[suffix], "BinarySI"
    if match := _EXPONENT.fullmatch(suffix):
        return 10, int(match[1]), "DecimalExponent"
    raise ValueError(SUFFIX_WRONG)


def _divide_up(number: int, divisor: int) -> int:
    """Division rounded away from zero."""
    return -(-number // divisor) if number >= 0 else number // divisor


def _decimal_text(nanos: int, format_: Format) -> str:
    exponent = -9
    while nanos % 1000 == 0 and exponent < 18:
        nanos //= 1000
        exponent += 3
    if format_ == "DecimalExponent":
        return f"{nanos}e{exponent}" if exponent else str(nanos)
    return f"{nanos}{_DECIMAL_SUFFIX[exponent]}"


def _binary_text(units: int) -> str:
    exponent = 0
    while units % 1024 == 0 and exponent < 60:
        units //= 1024
        exponent += 10
    return f"{units}{_BINARY_SUFFIX[exponent]}"
