"""Label selectors and field selectors: parsing, matching and their text form.

Both say which objects a list, a watch, a Service or a controller means. The grammar, the error texts and the text
form are those of apimachinery `pkg/labels/selector.go` and `pkg/fields/selector.go`. A selector is built once and
matched very often, so the usual one (only `key=value`) is kept as pairs and matches without looking at operators.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Literal

import attrs

from minik8s.machinery import field, names
from minik8s.machinery.errors import BadRequest, StatusCause
from minik8s.machinery.meta import Doc

Operator = Literal["=", "==", "!=", "in", "notin", "exists", "!", "gt", "lt"]
"""Upstream's `selection.Operator`; `=` and `==` differ only in the text form."""

OPERATORS: tuple[Operator, ...] = ("in", "notin", "=", "==", "!=", "gt", "lt", "exists", "!")
_BINARY = ", ".join(OPERATORS[:7])
_FROM_OBJECT: dict[str, Operator] = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
_FROM_TOKEN: dict[str, Operator] = {
    "in": "in", "notin": "notin", "=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt",
}  # fmt: skip


@attrs.frozen
class Requirement:
    """One condition on one label. `values` is sorted; empty for `exists` and `!`."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "=" | "==" | "in":
                return value is not None and value in self.values
            case "!=" | "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
        number, bound = _integer(value), _integer(self.values[0])
        if number is None or bound is None:
            return False
        return number > bound if self.operator == "gt" else number < bound

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return "!" + self.key
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
        sign = {"gt": ">", "lt": "<"}.get(self.operator, self.operator)
        return f"{self.key}{sign}{self.values[0]}"


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[+-]?[0-9]+", text) else None


@attrs.frozen
class LabelSelector:
    """All requirements must hold. Without any it matches everything, unless `nothing` is set.

    `requirements` is sorted by key.
    """

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False
    pairs: tuple[tuple[str, str], ...] | None = attrs.field(init=False, eq=False, repr=False)
    """The whole selector as `key=value` pairs, None when it is more than that; what an index can look up."""

    @pairs.default
    def _pairs(self) -> tuple[tuple[str, str], ...] | None:
        if self.nothing or any(r.operator not in ("=", "==") for r in self.requirements):
            return None
        return tuple((r.key, r.values[0]) for r in self.requirements)

    @classmethod
    def parse(cls, text: str) -> LabelSelector:
        """From the query parameter's grammar; raises BadRequest with upstream's text."""
        return _parse_labels(text)

    @classmethod
    def from_object(cls, selector: Doc | None) -> LabelSelector:
        """From a metav1.LabelSelector; `{}` matches everything, None nothing. Raises BadRequest."""
        if selector is None:
            return NOTHING
        requirements = [requirement(k, "=", (v,)) for k, v in (selector.get("matchLabels") or {}).items()]
        for expression in selector.get("matchExpressions") or ():
            name = expression.get("operator", "")
            operator = _FROM_OBJECT.get(name)
            if operator is None:
                raise BadRequest(f'"{name}" is not a valid label selector operator')
            requirements.append(requirement(expression.get("key", ""), operator, expression.get("values") or ()))
        return _of(requirements)

    @classmethod
    def from_map(cls, labels: Mapping[str, str] | None) -> LabelSelector:
        """From a plain map (a Service's or ReplicationController's selector), not validated; empty is everything."""
        return _of(Requirement(k, "=", (v,)) for k, v in (labels or {}).items())

    @property
    def is_everything(self) -> bool:
        return not self.requirements and not self.nothing

    def matches(self, labels: Mapping[str, str]) -> bool:
        if self.pairs is not None:
            for key, value in self.pairs:  # noqa: SIM110  a generator costs more than the comparison
                if labels.get(key) != value:
                    return False
            return True
        return not self.nothing and all(r.matches(labels) for r in self.requirements)

    def __str__(self) -> str:
        """`app=web,tier in (a,b),!old`; "" for everything and for nothing."""
        return ",".join(map(str, self.requirements))


def go_selector(selector: Doc | None) -> str:
    """A LabelSelector as Go prints it, which is what upstream's messages have."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(map(_go_requirement, selector.get("matchExpressions") or ()))
    matches = f"MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}}"
    return f"&LabelSelector{{{matches},}}"


def _go_requirement(expression: Doc) -> str:
    values = " ".join(expression.get("values") or ())
    fields = f"Key:{expression['key']},Operator:{expression['operator']},Values:[{values}],"
    return f"LabelSelectorRequirement{{{fields}}},"


def _of(requirements: Iterable[Requirement]) -> LabelSelector:
    return LabelSelector(tuple(sorted(requirements, key=lambda r: r.key)))


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(nothing=True)


def requirement(key: str, operator: Operator, values: Iterable[str] = ()) -> Requirement:
    """A checked requirement; raises BadRequest that names every broken rule."""
    result = Requirement(key, operator, tuple(sorted(set(values))))
    if errors := _requirement_errors(result):
        texts = [f"{e.field}: {e.message}" for e in errors]
        raise BadRequest(texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]")
    return result


_COUNT_RULES: dict[Operator, tuple[Callable[[int], bool], str]] = {
    "in": (lambda n: n > 0, "for 'in', 'notin' operators, values set can't be empty"),
    "notin": (lambda n: n > 0, "for 'in', 'notin' operators, values set can't be empty"),
    "=": (lambda n: n == 1, "exact-match compatibility requires one single value"),
    "==": (lambda n: n == 1, "exact-match compatibility requires one single value"),
    "!=": (lambda n: n == 1, "exact-match compatibility requires one single value"),
    "exists": (lambda n: n == 0, "values set must be empty for exists and does not exist"),
    "!": (lambda n: n == 0, "values set must be empty for exists and does not exist"),
    "gt": (lambda n: n == 1, "for 'Gt', 'Lt' operators, exactly one value is required"),
    "lt": (lambda n: n == 1, "for 'Gt', 'Lt' operators, exactly one value is required"),
}


def _requirement_errors(r: Requirement) -> list[StatusCause]:
    errors = []
    if wrong := names.qualified_name(r.key):
        errors.append(field.invalid("key", r.key, "; ".join(wrong)))
    allowed, detail = _COUNT_RULES[r.operator]
    if not allowed(len(r.values)):
        errors.append(field.invalid("values", list(r.values), detail))
    for i, value in enumerate(r.values):
        if r.operator in ("gt", "lt") and _integer(value) is None:
            detail = "for 'Gt', 'Lt' operators, the value must be an integer"
            errors.append(field.invalid(f"values[{i}]", value, detail))
        if wrong := names.label_value(value):
            errors.append(field.invalid(f"values[{i}][{r.key}]", value, "; ".join(wrong)))
    return errors


@lru_cache(maxsize=1024)
def _parse_labels(text: str) -> LabelSelector:
    return _of(_Parser(text).parse())


_TOKEN = re.compile(r"[ \t\r\n]*(?:(==|!=|[=!(),<>])|([^ \t\r\n=!(),<>]+)|$)")
_IDENTIFIER = "identifier"
_END = ""


class _Parser:
    """Upstream's recursive descent, token by token, because its error texts follow from it.

    A token is (kind, text); kind is the symbol or keyword itself, `identifier`, or "" at the end.
    """

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.position = 0
        for match in _TOKEN.finditer(text):
            symbol, word = match.groups()
            if symbol or word:
                self.tokens.append((symbol or (word if word in ("in", "notin") else _IDENTIFIER), symbol or word))
        self.tokens.append((_END, ""))

    def look(self) -> tuple[str, str]:
        """The next token where keys and values stand: `in` and `notin` are plain words there."""
        kind, text = self.tokens[self.position]
        return (_IDENTIFIER if kind in ("in", "notin") else kind), text

    def take(self) -> tuple[str, str]:
        token = self.look()
        self.position = min(self.position + 1, len(self.tokens) - 1)
        return token

    def parse(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        while True:
            kind, text = self.look()
            if kind == _END:
                return requirements
            if kind not in (_IDENTIFIER, "!"):
                raise BadRequest(f"found '{text}', expected: !, identifier, or 'end of string'")
            try:
                requirements.append(self.requirement())
            except BadRequest as error:
                raise BadRequest(f"unable to parse requirement: {error.message}") from None
            kind, text = self.take()
            if kind == _END:
                return requirements
            if kind != ",":
                raise BadRequest(f"found '{text}', expected: ',' or 'end of string'")
            kind, text = self.look()
            if kind not in (_IDENTIFIER, "!"):
                raise BadRequest(f"found '{text}', expected: identifier after ','")

    def requirement(self) -> Requirement:
        kind, key = self.take()
        absent = kind == "!"
        if absent:
            kind, key = self.take()
        if kind != _IDENTIFIER:
            raise BadRequest(f"found '{key}', expected: identifier")
        if wrong := names.qualified_name(key):
            raise BadRequest(f"<nil>: {field.invalid('', key, '; '.join(wrong)).message}")
        if absent or self.look()[0] in (_END, ","):
            return requirement(key, "!" if absent else "exists")
        token, text = self.tokens[self.position][0], self.take()[1]
        operator = _FROM_TOKEN.get(token)
        if operator is None:
            raise BadRequest(f"found '{text}', expected: {_BINARY}")
        values = self.values() if operator in ("in", "notin") else [self.value()]
        return requirement(key, operator, values)

    def value(self) -> str:
        if self.look()[0] in (_END, ","):
            return ""
        kind, text = self.take()
        if kind != _IDENTIFIER:
            raise BadRequest(f"found '{text}', expected: identifier")
        return text

    def values(self) -> list[str]:
        kind, text = self.take()
        if kind != "(":
            raise BadRequest(f"found '{text}' expected: '('")
        kind, text = self.look()
        if kind not in (_IDENTIFIER, ",", ")"):
            raise BadRequest(f"found '{text}', expected: ',', ')' or identifier")
        values = []
        while True:
            values.append(self.take()[1] if self.look()[0] == _IDENTIFIER else "")
            kind, text = self.look()
            if kind not in (",", ")"):
                raise BadRequest(f"found '{text}', expected: ',' or ')'")
            self.take()
            if kind == ")":
                return values


@attrs.frozen
class FieldSelector:
    """All requirements must hold: (path, operator `=` or `!=`, value)."""

    requirements: tuple[tuple[str, str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> FieldSelector:
        """From `path=value,path!=value`; raises BadRequest. Which paths a kind supports is the caller's affair."""
        requirements = []
        for term in _TERMS.findall(text) if text else ():
            if not term:
                continue
            match = _FIELD_TERM.match(term)
            if not match:
                raise BadRequest(f"invalid selector: '{text}'; can't understand '{term}'")
            path, operator, value = match.groups()
            requirements.append((path, "!=" if operator == "!=" else "=", _unescape(value)))
        return cls(tuple(requirements))

    @property
    def is_everything(self) -> bool:
        return not self.requirements

    def matches(self, getter: Callable[[str], str]) -> bool:
        """`getter` gives a path's value, "" when the field is absent."""
        return all((getter(path) == value) == (operator == "=") for path, operator, value in self.requirements)

    def exact(self, path: str) -> str | None:
        """The one value that `path` must have, None when the selector does not pin it; what an index can look up."""
        return next((v for p, operator, v in self.requirements if p == path and operator == "="), None)

    def __str__(self) -> str:
        return ",".join(f"{path}{operator}{escape(value)}" for path, operator, value in self.requirements)


_TERMS = re.compile(r"(?:^|(?<=,))((?:\\.|[^\\,])*\\?)(?:,|$)", re.DOTALL)
_FIELD_TERM = re.compile(r"(.*?)(!=|==|=)(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.?)|([,=])", re.DOTALL)


def _unescape(value: str) -> str:
    def replace(match: re.Match[str]) -> str:
        escaped, bare = match.groups()
        if bare:
            raise BadRequest(f"invalid field selector: unescaped character in value: {ord(bare)}")
        if escaped not in ("\\", ",", "="):
            raise BadRequest(f"invalid field selector: invalid escape sequence: \\{escaped}")
        return escaped

    return _ESCAPE.sub(replace, value) if "\\" in value or "=" in value or "," in value else value


def escape(value: str) -> str:
    """A value as it stands in a field selector."""
    return value.replace("\\", r"\\").replace(",", r"\,").replace("=", r"\=")
