"""The conflict of a body whose uid is not the stored object's, in the words of upstream's storage layer.

Operators know this message: it is what the update of an object looks like that was deleted, or deleted and created
again, in the meantime, and some of them match its text. So the key stands in it as etcd would have it, although
nothing here is stored under such keys.
"""

from __future__ import annotations

from typing import Final

from minik8s.apiserver.registry import Served
from minik8s.machinery.errors import Conflict

_FOLDERS: Final = {
    "endpoints": "services/endpoints",
    "ingresses": "ingress",
    "nodes": "minions",
    "replicationcontrollers": "controllers",
    "services": "services/specs",
}
"""Kinds whose folder is older than their name."""
_WITH_GROUP: Final = ("apiextensions.k8s.io", "apiregistration.k8s.io")
"""Built-in groups whose servers keep their objects in a folder of the group, as custom resources are."""


def uid_conflict(served: Served, namespace: str, name: str, wanted: str, found: str) -> Conflict:
    """`found` is "" where there is no such object any more: upstream's answer then is this one, not a 404."""
    resource = served.resource
    why = (
        f"StorageError: invalid object, Code: 4, Key: {_key(served, namespace, name)}, ResourceVersion: 0, "
        f"AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
    )
    return Conflict.object(resource.plural, resource.group, name, why)


def _key(served: Served, namespace: str, name: str) -> str:
    resource = served.resource
    if served.custom is not None or resource.group in _WITH_GROUP:
        folder = f"{resource.group}/{resource.plural}"
    else:
        folder = _FOLDERS.get(resource.plural, resource.plural)
    return "/".join(part for part in ("/registry", folder, namespace, name) if part)
