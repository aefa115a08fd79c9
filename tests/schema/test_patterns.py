"""Patterns of schemas: RE2's, or what of Python's engine cannot be made to hang."""

from __future__ import annotations

import sys

import pytest

from minik8s.schema.patterns import PatternError, compile_pattern

DNS = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


def test_matching_takes_linear_time() -> None:
    """A pattern on which a backtracking engine works for ever is answered at once."""
    assert not compile_pattern(r"^(a+)+$")("a" * 5000 + "!")
    assert compile_pattern(DNS)("a.b-c.d")


@pytest.mark.parametrize("pattern", ["(", "a**", "[z-a]", r"\1(a)", "(?=a)", "((((a{1,900}){1,900}){1,900}){1,900})"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    """Also what only other engines understand, and what would take too much memory."""
    with pytest.raises(PatternError, match="error parsing regexp"):
        compile_pattern(pattern)


def test_without_the_library_what_may_hang_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra; simple patterns work."""
    monkeypatch.setitem(sys.modules, "re2", None)
    compile_pattern.cache_clear()
    try:
        assert compile_pattern("^z[a-z]*$")("zebra")
        assert not compile_pattern("^(a|b)$")("c")
        for pattern in (r"^(a+)+$", DNS, r"(a)\1"):
            with pytest.raises(PatternError, match=r"pip install 'minik8s\[cel\]'"):
                compile_pattern(pattern)
        with pytest.raises(PatternError, match="error parsing regexp"):
            compile_pattern("(")
    finally:
        compile_pattern.cache_clear()
