"""Quantities and int-or-percent values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minik8s.machinery.intorstring import resolve
from minik8s.machinery.quantity import Quantity, from_milli, from_value, parse_quantity


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1000m", "1"), ("1024Mi", "1Gi"), ("0.5", "500m"), ("1.5Gi", "1536Mi"), ("1e3", "1e3"), ("0", "0"),
        ("1E3", "1e3"), ("1E", "1E"), ("100m", "100m"), ("1500", "1500"), ("1000000", "1M"), ("1536Mi", "1536Mi"),
        (".5", "500m"), ("5.", "5"), ("+5", "5"), ("-5k", "-5k"), ("0.1n", "1n"), ("-0.1n", "-1n"), ("0Ki", "0"),
        ("0.5Ki", "512"), ("0.1Ki", "102400m"), ("1023Ki", "1023Ki"), ("1e-3", "1e-3"), ("1e4", "10e3"), ("2u", "2u"),
        ("100E", "9223372036854775807"), ("1e999999", "9223372036854775807"), ("1e-999999", "1e-9"),
        ("12.123456789", "12123456789n"), (2, "2"), (0.25, "250m"), (1e22, "9223372036854775807"),
    ],
)  # fmt: skip
def test_canonical(text: str | float, canonical: str) -> None:
    """Every quantity prints with the largest suffix that loses nothing, in the format it was written in."""
    assert str(parse_quantity(text)) == canonical


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1.2.3", "--1", ".", "Ki", "1Gi1x"])
def test_bad_format(text: str) -> None:
    """What is no quantity at all is a ValueError with the regular expression in it."""
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["1mm", "1K", "1e", "1ki", "1Ki5"])
def test_bad_suffix(text: str) -> None:
    """An unknown suffix is told as one."""
    with pytest.raises(ValueError, match="unable to parse quantity's suffix"):
        parse_quantity(text)


def test_arithmetic() -> None:
    """Sums are exact, keep the left format (the right one from zero), and compare across formats."""
    assert str(parse_quantity("1Gi") + parse_quantity("512Mi")) == "1536Mi"
    assert str(parse_quantity("0") + parse_quantity("1Gi")) == "1Gi"
    assert str(parse_quantity("1") - parse_quantity("100m")) == "900m"
    assert parse_quantity("1Ki") == parse_quantity("1024")
    assert parse_quantity("999m") < parse_quantity("1")
    assert hash(parse_quantity("1e3")) == hash(parse_quantity("1k"))
    assert str(-from_milli(1500) * 2) == "-3"


def test_rounding() -> None:
    """`value` and `milli` round away from zero."""
    assert parse_quantity("100m").value() == 1
    assert parse_quantity("-100m").value() == -1
    assert parse_quantity("1u").milli() == 1
    assert from_value(3).milli() == 3000


@given(st.integers(-(10**30), 10**30), st.sampled_from(["DecimalSI", "BinarySI", "DecimalExponent"]))
def test_round_trip(nanos: int, format_: str) -> None:
    """Printing and parsing gives the same amount, up to the largest one that is kept."""
    quantity = Quantity(nanos, format_)  # type: ignore[arg-type]
    if abs(nanos) <= (2**63 - 1) * 10**9:
        assert parse_quantity(str(quantity)) == quantity


@pytest.mark.parametrize(
    ("value", "total", "up", "down"),
    [(3, 10, 3, 3), ("25%", 10, 3, 2), ("0%", 10, 0, 0), ("100%", 7, 7, 7), ("150%", 3, 5, 4)],
)
def test_int_or_percent(value: int | str, total: int, up: int, down: int) -> None:
    """Numbers stay, percentages are taken of the total and rounded as asked."""
    assert resolve(value, total, round_up=True) == up
    assert resolve(value, total, round_up=False) == down


def test_int_or_percent_error() -> None:
    """A string that is no percentage is a ValueError."""
    with pytest.raises(ValueError, match="string is not a percentage"):
        resolve("many", 10, round_up=True)
