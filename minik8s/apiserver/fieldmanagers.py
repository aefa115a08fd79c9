"""Who owns which field: kept up to date by every write (metadata.managedFields)."""

from __future__ import annotations

from minik8s.apiserver.options import WriteOptions
from minik8s.apiserver.registry import Served
from minik8s.machinery.meta import Doc, Obj


def track(options: WriteOptions, served: Served, obj: Obj, old: Doc | None, now: str, subresource: str = "") -> None:
    """Drops what a client claims about ownership."""
    obj["metadata"].pop("managedFields", None)
