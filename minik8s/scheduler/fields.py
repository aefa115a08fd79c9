"""Reading one field of a configuration: what is not as it should be is refused by the path of the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.machinery.meta import Doc
from minik8s.schema.scalars import DecodeError, parse_duration


class ConfigurationError(ValueError):
    """The configuration cannot be used; the text names the field."""


def fields(document: object, path: str, known: set[str]) -> Doc:
    """A mapping with no other fields than `known`."""
    if not isinstance(document, Mapping):
        raise ConfigurationError(f"{path or 'KubeSchedulerConfiguration'}: must be a mapping, not {document!r}")
    for name in document:
        if name not in known:
            raise ConfigurationError(f'unknown field "{path + "." if path else ""}{name}"')
    return document


def sequence(value: object, path: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ConfigurationError(f"{path}: must be a list, not {value!r}")
    return value


def number(doc: Doc, name: str, path: str, default: int, *, least: int = 0, most: int = 2**31 - 1) -> int:
    """A whole number from `least` to `most`."""
    value = doc.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        where = f"{path}.{name}" if path else name
        raise ConfigurationError(f"{where}: must be a whole number from {least} to {most}, not {value!r}")
    return value


def duration(doc: Doc, name: str, path: str, default: float) -> float:
    """Seconds."""
    value = doc.get(name)
    if value is None:
        return default
    try:
        return parse_duration(str(value)) / 1e9
    except DecodeError:
        raise ConfigurationError(f"{path}.{name}: {value!r} is no duration") from None


def text(doc: Doc, name: str, path: str) -> str:
    value = doc.get(name) or ""
    if not isinstance(value, str):
        raise ConfigurationError(f"{path}.{name}: must be text, not {value!r}")
    return value


def truth(doc: Doc, name: str, path: str) -> bool:
    value = doc.get(name)
    if value is not None and not isinstance(value, bool):
        raise ConfigurationError(f"{path}.{name}: must be true or false, not {value!r}")
    return bool(value)
