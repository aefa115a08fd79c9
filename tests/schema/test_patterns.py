"""Patterns of schemas are RE2's: what they match, how long that takes, and what is none."""

from __future__ import annotations

import pytest

from minik8s.schema.patterns import PatternError, compile_pattern, is_found

DNS = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


def test_matching_takes_linear_time() -> None:
    """A pattern on which a backtracking engine works for ever is answered at once."""
    assert not is_found(r"^(a+)+$", "a" * 5000 + "!")
    assert is_found(DNS, "a.b-c.d")
    assert not is_found("^x$", "\ud800")


@pytest.mark.parametrize("pattern", ["(", "a**", "[z-a]", r"\1(a)", "(?=a)", "((((a{1,900}){1,900}){1,900}){1,900})"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    """Also what only other engines understand, and what would take too much memory."""
    with pytest.raises(PatternError, match="error parsing regexp"):
        compile_pattern(pattern)
