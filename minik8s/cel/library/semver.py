"""Semantic versions. Upstream: k8s.io/apiserver `pkg/cel/library/semverlib.go`, blang/semver."""

from __future__ import annotations

import re
from typing import Any

import attrs

from minik8s.cel.declare import table
from minik8s.cel.errors import EvaluationError
from minik8s.cel.values import MAX_UINT, Opaque

_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_IDENTIFIER = re.compile(r"[0-9A-Za-z-]+", re.ASCII)


@attrs.frozen(eq=False)
class Semver(Opaque):
    """A version; build metadata does not count in comparisons."""

    numbers: tuple[int, int, int]
    pre: tuple[str, ...]
    build: tuple[str, ...]

    cel_name = "kubernetes.Semver"

    @property
    def rank(self) -> tuple[Any, ...]:
        """Sorts as versions do: a pre-release before its release, numbers before words."""
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre)
        return (self.numbers, not self.pre, parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Semver) and self.rank == other.rank

    def __hash__(self) -> int:
        return hash(self.rank)

    def __str__(self) -> str:
        text = ".".join(map(str, self.numbers))
        text += f"-{'.'.join(self.pre)}" if self.pre else ""
        return text + (f"+{'.'.join(self.build)}" if self.build else "")


def _number(text: str, what: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise EvaluationError(f'Invalid character(s) found in {what} number "{text}"')
    if len(text) > 1 and text.startswith("0"):
        raise EvaluationError(f'{what.capitalize()} number must not contain leading zeroes "{text}"')
    if len(text) > 20 or int(text) > MAX_UINT:
        raise EvaluationError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def parse_semver(text: str, normalize: bool = False) -> Semver:
    """Raises EvaluationError with upstream's text."""
    if normalize:
        text = _normalized(text)
    if not text:
        raise EvaluationError("Version string empty")
    parts = text.split(".", 2)
    if len(parts) != 3:
        raise EvaluationError("No Major.Minor.Patch elements found")
    rest, plus, build = parts[2].partition("+")
    patch, dash, pre = rest.partition("-")
    numbers = (_number(parts[0], "major"), _number(parts[1], "minor"), _number(patch, "patch"))
    return Semver(
        numbers, _identifiers(pre, dash, "prerelease", True), _identifiers(build, plus, "build meta data", False)
    )


def _identifiers(text: str, mark: str, what: str, numeric: bool) -> tuple[str, ...]:
    if not mark:
        return ()
    found = tuple(text.split("."))
    for part in found:
        if part == "":
            raise EvaluationError(f"{what.capitalize()} is empty")
        if not _IDENTIFIER.fullmatch(part) or len(part) > 1000:
            raise EvaluationError(f'Invalid character(s) found in {what} "{part}"')
        if numeric and part.isdigit() and len(part) > 1 and part.startswith("0"):
            raise EvaluationError(f'Numeric PreRelease version must not contain leading zeroes "{part}"')
    return found


def _normalized(text: str) -> str:
    parts = text.removeprefix("v").split(".", 2)
    for index, part in enumerate(parts):
        if len(part) > 1:
            stripped = part.lstrip("0")
            parts[index] = stripped if stripped[:1].isdigit() else "0" + stripped
    if len(parts) < 3 and ("+" in parts[-1] or "-" in parts[-1]):
        raise EvaluationError("short version cannot contain PreRelease/Build meta data")
    return ".".join([*parts, "0", "0"][:3])


def _is_semver(text: str, normalize: bool = False) -> bool:
    try:
        parse_semver(text, normalize)
    except EvaluationError:
        return False
    return True


_S = Semver.cel_name
FUNCTIONS = table(
    [
        ("semver", f"(string) -> {_S}", parse_semver),
        ("semver", f"(string, bool) -> {_S}", parse_semver),
        ("isSemver", "(string) -> bool", _is_semver),
        ("isSemver", "(string, bool) -> bool", _is_semver),
        ("isGreaterThan", f"{_S}.({_S}) -> bool", lambda a, b: a.rank > b.rank),
        ("isLessThan", f"{_S}.({_S}) -> bool", lambda a, b: a.rank < b.rank),
        ("compareTo", f"{_S}.({_S}) -> int", lambda a, b: (a.rank > b.rank) - (a.rank < b.rank)),
        *((name, f"{_S}.() -> int", lambda v, i=i: v.numbers[i]) for i, name in enumerate(("major", "minor", "patch"))),
    ]
)
