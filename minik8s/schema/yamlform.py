"""YAML as Kubernetes reads it: JSON in another spelling.

sigs.k8s.io/yaml turns YAML into JSON types by the rules of go-yaml v2, which differ from PyYAML's: no dates,
no base-60 numbers (`22:22` is a string), `1e3` is a number, keys become strings. So libyaml composes the nodes
and this module gives them their values, notes duplicate keys, and bounds what aliases may expand to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import yaml

from minik8s.machinery.meta import copy_document
from minik8s.schema.scalars import DecodeError

_PLAIN: Final = "!plain"
_STRING: Final = "tag:yaml.org,2002:str"


class _Loader(yaml.CSafeLoader):
    """Composes nodes; unquoted scalars get a tag of their own so that `resolve` can judge them."""

    yaml_implicit_resolvers = {None: [(_PLAIN, re.compile(""))]}  # noqa: RUF012  PyYAML's own class attribute


_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_INT = re.compile(r"[-+]?(0[bB][01_]+|0[oO]?[0-7_]+|0[xX][0-9a-fA-F_]+|[1-9][0-9_]*|0)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def resolve(text: str) -> Any:
    """The value of an unquoted scalar: null, bool, int, float or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INT.fullmatch(text):
        return _integer(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return _number(float(text.replace("_", "")))
    if _SPECIAL.fullmatch(text):
        raise DecodeError(f"json: unsupported value: {text}")
    return text


def _integer(text: str) -> int | float:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    value = sign * int(digits, 8 if octal else 0)
    return value if -(2**63) <= value < 2**64 else float(value)


def _number(value: float) -> int | float:
    """Go writes a float that is whole without a point, so an int field accepts `1.0`."""
    if value in (float("inf"), float("-inf")):
        raise DecodeError("json: unsupported value: +Inf")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def documents(data: bytes) -> Iterator[tuple[Any, list[DuplicateKey]]]:
    """Each document of a YAML stream with the paths of its duplicate keys; raises DecodeError."""
    try:
        for node in yaml.compose_all(data, Loader=_Loader):
            reader = _Reader(len(data))
            yield (None if node is None else reader.read(node, "")), reader.duplicates
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise DecodeError(f"error converting YAML to JSON: yaml: line {line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise DecodeError(f"error converting YAML to JSON: yaml: {error}") from None
    except RecursionError:
        raise DecodeError("error converting YAML to JSON: yaml: exceeded max depth") from None


def line_of(data: bytes, index: int, path: Sequence[str | int]) -> int:
    """The line, from 1, of the value at `path` of a stream's document `index`, or of as much of the path as there is.

    A key's line is its own, so that an error about a block of text can count on from there.
    """
    node = list(yaml.compose_all(data, Loader=_Loader))[index]
    line: int = node.start_mark.line
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
    return line + 1


class DuplicateKey(str):
    """The path of a key that its map has already, and the line on which it comes again."""

    key: str
    line: int

    def __new__(cls, path: str, key: str, line: int) -> DuplicateKey:
        found = super().__new__(cls, path)
        found.key, found.line = key, line
        return found


class _Reader:
    """Turns the nodes of one document into JSON values.

    Aliases may repeat nodes, but not make far more of them than the source has bytes.
    """

    def __init__(self, size: int) -> None:
        self.duplicates: list[DuplicateKey] = []
        self.left = size + 100_000

    def read(self, node: yaml.Node, path: str) -> Any:
        self.left -= 1
        if self.left < 0:
            raise DecodeError("error converting YAML to JSON: yaml: document contains excessive aliasing")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, f"{path}[{index}]") for index, child in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                merged += self._merge(value_node, path)
                continue
            key = self._key(key_node)
            where = f"{path}.{key}" if path else key
            if key in found:
                self.duplicates.append(DuplicateKey(where, key, key_node.start_mark.line + 1))
            found[key] = self.read(value_node, where)
        for other in merged:
            for key, value in other.items():
                found.setdefault(key, copy_document(value))
        return found

    def _merge(self, node: yaml.Node, path: str) -> list[dict[str, Any]]:
        value = self.read(node, path)
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(v, dict) for v in values):
            raise DecodeError(
                "error converting YAML to JSON: yaml: map merge requires map or sequence of maps as the value"
            )
        return values

    def _key(self, node: yaml.Node) -> str:
        key = _scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if isinstance(key, bool):
            return "true" if key else "false"
        if key is None:
            raise DecodeError(f"error converting YAML to JSON: unsupported map key at line {node.start_mark.line + 1}")
        return str(key)


def _float(text: str) -> int | float:
    return _number(float(text))


_TAGGED: Final[dict[str, Callable[[str], Any]]] = {
    _PLAIN: resolve,
    "tag:yaml.org,2002:int": resolve,
    "tag:yaml.org,2002:bool": resolve,
    "tag:yaml.org,2002:null": resolve,
    "tag:yaml.org,2002:float": _float,
}


def _scalar(node: yaml.Node) -> Any:
    text: str = node.value
    try:
        return _TAGGED.get(node.tag, str)(text)
    except DecodeError:
        raise
    except ValueError:
        raise DecodeError(f"error converting YAML to JSON: yaml: cannot decode {text!r} as {node.tag}") from None


class _Dumper(yaml.CSafeDumper):
    """Quotes every string that `resolve` would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_string(dumper: yaml.representer.SafeRepresenter, text: str) -> yaml.Node:
    if "\n" in text:
        return dumper.represent_scalar(_STRING, text, style="|")
    try:
        ambiguous = not isinstance(resolve(text), str)
    except DecodeError:
        ambiguous = True
    return dumper.represent_scalar(_STRING, text, style='"' if ambiguous else None)


_Dumper.add_representer(str, _represent_string)


def dump(value: Any) -> bytes:
    """UTF-8 YAML in block style with sorted keys; lists are not indented below their key."""
    text: str = yaml.dump(
        copy_document(value), Dumper=_Dumper, sort_keys=True, default_flow_style=False, allow_unicode=True, width=2**30
    )
    return text.encode()
