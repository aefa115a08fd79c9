"""Containers for pods to be played in virtual time."""

from __future__ import annotations

from typing import Any


def container(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox", "imagePullPolicy": "IfNotPresent", **fields}


def condition(pod: Any, type_: str) -> Any:
    return next(c for c in pod["status"]["conditions"] if c["type"] == type_)
