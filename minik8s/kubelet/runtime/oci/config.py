"""What an image says of the process to run: the `config` of its configuration (image-spec: config.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from minik8s.kubelet.runtime.oci import BadImage
from minik8s.kubelet.runtime.signals import full_name
from minik8s.machinery.meta import Doc


@attrs.frozen
class ImageConfig:
    """`user` is as in a Dockerfile: names or numbers, `user` or `user:group`. `volumes` are paths."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = attrs.field(factory=dict)
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()


def image_config(document: Doc) -> ImageConfig:
    """Raises BadImage for a field of another type than the specification's."""
    config = document.get("config") or {}
    if not isinstance(config, Mapping):
        raise _wrong("config", "an object")
    return ImageConfig(
        entrypoint=_words(config, "Entrypoint"),
        cmd=_words(config, "Cmd"),
        env=dict(_variable(text) for text in _words(config, "Env") if not text.startswith("=")),
        working_dir=_text(config, "WorkingDir"),
        user=_text(config, "User"),
        stop_signal=_signal(_text(config, "StopSignal")),
        volumes=tuple(sorted(_checked(path, "Volumes") for path in _keys(config, "Volumes"))),
    )


def _signal(text: str) -> str:
    try:
        return full_name(text) if text else ""
    except ValueError:
        raise BadImage(f"its configuration has an invalid StopSignal {text!r}") from None


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _words(config: Mapping[str, Any], field: str) -> tuple[str, ...]:
    value = config.get(field) or []
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise _wrong(field, "a list of texts")
    return tuple(_checked(word, field) for word in value)


def _text(config: Mapping[str, Any], field: str) -> str:
    value = config.get(field) or ""
    if not isinstance(value, str):
        raise _wrong(field, "a text")
    return _checked(value, field)


def _checked(text: str, field: str) -> str:
    """JSON can write what no system takes: half characters, and NUL."""
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise _wrong(field, "text without NUL and half characters")
    return text


def _keys(config: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = config.get(field) or {}
    if not isinstance(value, Mapping):
        raise _wrong(field, "an object")
    return value


def _wrong(field: str, wanted: str) -> BadImage:
    return BadImage(f"its configuration is invalid: {field} must be {wanted}")
