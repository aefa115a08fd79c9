"""Reading YAML so that every complaint has a line: fields that are asked for by name, problems that are collected.

A document is walked as PyYAML's node graph, which knows where everything stands, instead of as the values that it
would make of it. Names of fields are the same in any case, as for clusterloader2 (Go decodes JSON that way, and its
scenarios write `Identifier` and `name` side by side). Whoever reads a mapping asks for what he knows; what nobody
asked for is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import yaml

from minik8s.bench.expressions import ExpressionError, Value, filled
from minik8s.schema.scalars import parse_duration

LARGEST: Final = 1 << 20
"""Bytes of a file."""
DEEPEST, MOST_NODES = 50, 100_000
MOST_PROBLEMS: Final = 20
T = TypeVar("T")
_MISSING: Final = object()


@attrs.frozen
class Problem:
    """What is wrong, and where: `file:line`."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ScenarioError(ValueError):
    """A scenario that cannot be run; `problems` says why, line by line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        more = len(problems) - MOST_PROBLEMS
        lines = [*map(str, problems[:MOST_PROBLEMS]), *([f"and {more} more"] if more > 0 else [])]
        super().__init__("\n".join(lines))
        self.problems = list(problems)


@attrs.define
class Source:
    """A file under reading: how it is called, what `${...}` may name, and what is wrong so far."""

    name: str
    values: dict[str, Value] = attrs.field(factory=dict)
    problems: list[Problem] = attrs.field(factory=list)

    def complain(self, node: yaml.Node | None, what: str) -> None:
        """Notes a problem at a node, or at the file's first line."""
        line = node.start_mark.line + 1 if node is not None else 1
        self.problems.append(Problem(f"{self.name}:{line}", what))

    def verify(self) -> None:
        """Raises ScenarioError if anything was wrong."""
        if self.problems:
            raise ScenarioError(self.problems)


def read_text(path: Path, shown: str = "") -> str:
    """A file's text. Raises ScenarioError for one that is missing, too large, or not UTF-8."""
    try:
        data = path.read_bytes()
        if len(data) > LARGEST:
            raise ScenarioError([Problem(shown or str(path), f"larger than {LARGEST >> 20} MiB")])
        return data.decode("utf-8")
    except OSError as error:
        raise ScenarioError([Problem(shown or str(path), error.strerror or str(error))]) from None
    except UnicodeDecodeError:
        raise ScenarioError([Problem(shown or str(path), "not UTF-8 text")]) from None


def compose(text: str, name: str) -> yaml.Node | None:
    """The only document's root. Raises ScenarioError for what is no YAML, too deep, or too large by its aliases."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        lines = text.splitlines()[line - 1 : line]
        hint = " (a ${...} inside of {} or [] has to be quoted)" if any("${" in each for each in lines) else ""
        raise ScenarioError([Problem(f"{name}:{line}", f"not YAML: {error.problem or error.context}{hint}")]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ScenarioError([Problem(name, f"not YAML: {' '.join(str(error).split())}")]) from None
    if root is not None and _size(root, 0) > MOST_NODES:
        raise ScenarioError([Problem(name, f"nested deeper than {DEEPEST}, or more than {MOST_NODES:,} values")])
    return root


def _size(node: yaml.Node, depth: int, limit: int = MOST_NODES) -> int:
    """How many nodes there are with aliases followed; more than the limit for what is too deep, a circle too."""
    if depth > DEEPEST:
        return limit + 1
    total = 1
    children = [n for pair in node.value for n in pair] if isinstance(node, yaml.MappingNode) else node.value
    for child in children if not isinstance(node, yaml.ScalarNode) else ():
        total += _size(child, depth + 1, limit)
        if total > limit:
            break
    return total


def plain(node: yaml.Node) -> Any:
    """The node's value as JSON has it; dates stay text. Raises ScenarioError's cause, yaml.YAMLError, for odd tags."""
    if isinstance(node, yaml.MappingNode):
        return {str(plain(key)): plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(each) for each in node.value]
    if node.tag == "tag:yaml.org,2002:timestamp":
        return node.value
    return yaml.SafeLoader("").construct_object(node)


class Fields:
    """One mapping. Getters note a problem and answer the default (or an innocent value) where something is wrong."""

    def __init__(self, source: Source, node: yaml.Node | None, path: str) -> None:
        self.source, self.node, self.path = source, node, path
        self._fields: dict[str, tuple[str, yaml.Node, yaml.Node]] = {}
        self._asked: dict[str, str] = {}
        if not isinstance(node, yaml.MappingNode):
            if node is not None:
                source.complain(node, f"{path or 'a scenario'} must be a mapping")
            return
        for key, value in node.value:
            name = str(key.value)
            if name.lower() in self._fields:
                source.complain(key, f"{self._at(name)} is given twice")
            self._fields[name.lower()] = (name, key, value)

    def complain(self, what: str, key: str = "") -> None:
        """Notes a problem at a field, or at the mapping."""
        self.source.complain(self.raw(key) if key and key.lower() in self._fields else self.node, what)

    def has(self, key: str) -> bool:
        self._asked[key.lower()] = key
        return key.lower() in self._fields

    def raw(self, key: str) -> yaml.Node | None:
        """The field's node; None where there is none."""
        return self._fields[key.lower()][2] if self.has(key) else None

    def value(self, key: str) -> Any:
        """The field's value, filled in; None where there is none or it cannot be."""
        node = self.raw(key)
        found = None if node is None else self._filled(key, node)
        return None if found is _MISSING else found

    def keys(self) -> list[str]:
        return [name for name, _, _ in self._fields.values()]

    def text(self, key: str, default: Any = _MISSING, *, choices: Sequence[str] = ()) -> str:
        value = self._given(key, default)
        if value is _MISSING:
            return ""
        if not isinstance(value, str):
            return self._wrong(key, "text", value, "")
        if choices and value not in choices and value != default:
            return self._wrong(key, f"one of {', '.join(choices)}", value, choices[0])
        return value

    def integer(self, key: str, default: Any = _MISSING, *, low: int = 0, high: int = 10_000_000) -> int:
        value = self._given(key, default)
        if value is _MISSING:
            return low
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            return self._wrong(key, f"a whole number from {low} to {high:,}", value, low)
        return value

    def number(self, key: str, default: Any = _MISSING, *, above: float = 0.0, high: float = 1e9) -> float:
        value = self._given(key, default)
        if value is _MISSING:
            return 1.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not above < value <= high:
            return self._wrong(key, f"a number above {above:g}, at most {high:,.0f}", value, 1.0)
        return float(value)

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._given(key, default)
        return value if isinstance(value, bool) else self._wrong(key, "true or false", value, default)

    def duration(self, key: str, default: Any = _MISSING) -> float:
        """Seconds of Go's `1m30s`, or of a plain number of seconds."""
        value = self._given(key, default)
        if value is _MISSING:
            return 1.0
        if isinstance(value, str):
            try:
                value = parse_duration(value) / 1e9
            except ValueError:
                return self._wrong(key, "a duration like 90s or 1h30m", value, 1.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            return self._wrong(key, "a duration like 90s or 1h30m", value, 1.0)
        return float(value)

    def mapping(self, key: str) -> Fields | None:
        """The mapping of that name, None where there is none."""
        node = self.raw(key)
        return None if node is None else Fields(self.source, node, self._at(key))

    def sequence(self, key: str) -> Iterator[Fields]:
        """The mappings of a list; none where there is no list."""
        node = self.raw(key)
        if node is None:
            return
        if not isinstance(node, yaml.SequenceNode):
            self.source.complain(node, f"{self._at(key)} must be a list")
            return
        for index, each in enumerate(node.value):
            yield Fields(self.source, each, f"{self._at(key)}[{index}]")

    def close(self) -> None:
        """Everything that is known has been asked for: complains about what is left."""
        for name, key, _ in self._fields.values():
            if name.lower() not in self._asked:
                known = ", ".join(self._asked.values())
                self.source.complain(key, f'{self._at(name)}: unknown field "{name}"; there are {known}')

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _filled(self, key: str, node: yaml.Node) -> Any:
        try:
            return filled(plain(node), self.source.values)
        except ExpressionError as error:
            self.source.complain(node, f"{self._at(key)}: {error}")
        except (yaml.YAMLError, ValueError):
            self.source.complain(node, f"{self._at(key)}: not a value")
        return _MISSING

    def _given(self, key: str, default: Any) -> Any:
        if not self.has(key):
            if default is _MISSING:
                self.source.complain(self.node, f"{self._at(key)} is required")
            return default
        value = self._filled(key, self._fields[key.lower()][2])
        return value if value is not _MISSING or default is _MISSING else default

    def _wrong(self, key: str, wanted: str, value: Any, instead: T) -> T:
        self.complain(f"{self._at(key)} must be {wanted}, not {value!r}", key)
        return instead
