"""Static types of CEL: what the checker reasons with and what messages print (`list(int)`, `map(string, dyn)`).

Objects name their fields lazily, because Kubernetes' types are large and some contain themselves. A list may carry
Kubernetes' list type ("set", "map" with keys): its `==` and `+` then ignore order, as upstream's do.
Upstream: cel-go `common/types/types.go` and `checker/types.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs


@attrs.frozen(hash=True)
class CelType:
    """One type. `kind` is what the checker switches on, `name` what is printed when the type has no parameters."""

    kind: str
    name: str
    params: tuple[CelType, ...] = ()
    fields: Callable[[str], CelField | None] | None = attrs.field(default=None, repr=False)
    """Objects: the field of a CEL name, or None. Two objects are one type when name and this are the same."""
    list_type: str = ""
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.params:
            return self.name
        return f"{self.name}({', '.join(map(str, self.params))})"


@attrs.frozen
class CelField:
    """A field of an object: its key in the document, and its type."""

    key: str
    type: CelType


def _simple(name: str) -> CelType:
    return CelType(name, name)


DYN = _simple("dyn")
NULL = CelType("null", "null_type")
BOOL = _simple("bool")
INT = _simple("int")
UINT = _simple("uint")
DOUBLE = _simple("double")
STRING = _simple("string")
BYTES = _simple("bytes")
DURATION = CelType("duration", "google.protobuf.Duration")
TIMESTAMP = CelType("timestamp", "google.protobuf.Timestamp")
ERROR = CelType("error", "!error!")
SIMPLE = {t.name: t for t in (DYN, NULL, BOOL, INT, UINT, DOUBLE, STRING, BYTES, DURATION, TIMESTAMP)}
NULLABLE = frozenset({"null", "object", "opaque", "duration", "timestamp", "optional"})


def list_of(item: CelType, list_type: str = "", keys: tuple[str, ...] = ()) -> CelType:
    """`list(item)`; with Kubernetes' list type where the schema gives one."""
    return CelType("list", "list", (item,), None, list_type, keys)


def map_of(key: CelType, value: CelType) -> CelType:
    """`map(key, value)`."""
    return CelType("map", "map", (key, value))


def optional_of(item: CelType) -> CelType:
    """`optional_type(item)`."""
    return CelType("optional", "optional_type", (item,))


def type_type(of: CelType) -> CelType:
    """The type of a type, such as that of `int`."""
    return CelType("type", "type", (of,))


def opaque(name: str) -> CelType:
    """A type that only functions look into, such as `kubernetes.Quantity`."""
    return CelType("opaque", name)


class _Fields:
    """The fields of a literal mapping as the lookup that `CelType.fields` is."""

    def __init__(self, fields: Mapping[str, CelType], escaped: bool) -> None:
        self.fields = {escape(key) if escaped else key: CelField(key, type_) for key, type_ in fields.items()}

    def __call__(self, name: str) -> CelField | None:
        return self.fields.get(name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Fields) and self.fields == other.fields

    def __hash__(self) -> int:
        return hash(frozenset(self.fields))


def object_of(name: str, fields: Mapping[str, CelType], *, escaped: bool = True) -> CelType:
    """An object type with these JSON fields.

    Names are escaped as those of a schema's properties; with `escaped=False` they are taken as they are.
    """
    return CelType("object", name, (), _Fields(fields, escaped))


KEYWORDS = frozenset(
    ["true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"]
) | {"let", "loop", "package", "namespace", "return", "var", "void", "while"}
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}


def escape(name: str) -> str:
    """The CEL name of a JSON property, as k8s.io/apiserver `pkg/cel/escaping.go`; "" when it has none."""
    if name in KEYWORDS:
        return f"__{name}__"
    out: list[str] = []
    index = 0
    while index < len(name):
        char = name[index : index + 2] if name.startswith("__", index) else name[index]
        out.append(_ESCAPES.get(char, char))
        index += len(char)
    escaped = "".join(out)
    return escaped if escaped.isascii() and escaped.isidentifier() else ""


def unify(formal: CelType, actual: CelType, bound: dict[str, CelType]) -> bool:
    """Whether a value of type `actual` can stand where `formal` is asked for; binds type variables in `bound`."""
    formal, actual = resolve(formal, bound), resolve(actual, bound)
    if formal is actual:
        return True
    for one, other in ((formal, actual), (actual, formal)):
        if one.kind == "var":
            if one != other:
                if _occurs(one, other, bound):
                    return False
                bound[one.name] = other
            return True
    if "dyn" in (formal.kind, actual.kind) or "error" in (formal.kind, actual.kind):
        return True
    if actual.kind == "null":
        return formal.kind in NULLABLE
    if formal.kind == "null":
        return False
    if formal.kind != actual.kind or (formal.kind in ("object", "opaque") and formal.name != actual.name):
        return False
    if formal.kind == "type":
        return True
    return len(formal.params) == len(actual.params) and all(
        unify(f, a, bound) for f, a in zip(formal.params, actual.params, strict=True)
    )


def resolve(type_: CelType, bound: Mapping[str, CelType]) -> CelType:
    """Follows a bound type variable to what it stands for (outermost level only)."""
    while type_.kind == "var" and type_.name in bound:
        type_ = bound[type_.name]
    return type_


def substitute(type_: CelType, bound: Mapping[str, CelType], *, free: CelType | None = None) -> CelType:
    """`type_` with all bound variables replaced; with `free`, unbound ones become that."""
    type_ = resolve(type_, bound)
    if type_.kind == "var":
        return free or type_
    if not type_.params:
        return type_
    params = tuple(substitute(p, bound, free=free) for p in type_.params)
    return type_ if params == type_.params else attrs.evolve(type_, params=params)


def _occurs(variable: CelType, type_: CelType, bound: Mapping[str, CelType]) -> bool:
    type_ = resolve(type_, bound)
    return type_ == variable or any(_occurs(variable, p, bound) for p in type_.params)
