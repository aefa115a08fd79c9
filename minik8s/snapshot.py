"""A cluster's objects in a file: whole, to begin another cluster with, or as manifests for people and kubectl.

The file is JSON: `{"version": 1, "revision": N, "objects": [[group-resource, created, object], ...]}`. Everything is
kept, uids and resourceVersions included, so that owner references hold and clients can go on from what they have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import yaml

from minik8s.apiserver.codec import DocumentCodec
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.registry import Registry
from minik8s.machinery.meta import Doc, Obj, is_terminating, name_of, namespace_of, owner_references
from minik8s.store import MemoryStore
from minik8s.store.protocol import Key, Store

VERSION = 1
_MADE_BY_THE_CLUSTER = frozenset(
    {
        "apiservices.apiregistration.k8s.io", "componentstatuses", "controllerrevisions.apps", "endpoints",
        "endpointslices.discovery.k8s.io", "events", "flowschemas.flowcontrol.apiserver.k8s.io",
        "ipaddresses.networking.k8s.io", "leases.coordination.k8s.io", "nodes",
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", "servicecidrs.networking.k8s.io",
    }
)  # fmt: skip
_SYSTEM_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_BOOTSTRAPPED = "kubernetes.io/bootstrapping"
_DROPPED_METADATA = (
    "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "generateName",
)  # fmt: skip
_FIRST = ("namespaces", "customresourcedefinitions.apiextensions.k8s.io", "serviceaccounts")


def save(store: Store, path: Path) -> None:
    """Writes a snapshot."""
    objects = [[entry.key[0], entry.created, entry.value] for name in store.sizes() for entry in store.scan((name,))]
    document = {"version": VERSION, "revision": store.revision, "objects": objects}
    path.write_bytes(orjson.dumps(document))


def load(path: Path | str) -> MemoryStore:
    """The store of a snapshot. Raises ValueError for a file that is none, and OSError."""
    try:
        document = orjson.loads(Path(path).read_bytes())
        if document["version"] != VERSION:
            raise ValueError(f"version {document['version']} is not known")
        entries = [(_key(name, obj), obj, created, _modified(obj)) for name, created, obj in document["objects"]]
        revision = int(document["revision"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a snapshot of minik8s: {error}") from None
    store = MemoryStore(DocumentCodec(Registry().indexed, frozen=False))
    store.restore(entries, revision)
    return store


def _key(group_resource: str, obj: Doc) -> Key:
    return (group_resource, namespace_of(obj), name_of(obj))


def _modified(obj: Doc) -> int:
    return int(obj["metadata"]["resourceVersion"])


def manifests(ctx: ServerContext) -> str:
    """What users have made, as YAML documents in an order in which they can be applied."""
    objects = sorted(_users_objects(ctx.store), key=lambda pair: (_rank(pair[0]), pair[0]))
    documents = [_clean(obj) for _, obj in objects]
    return yaml.safe_dump_all(documents, sort_keys=False, default_flow_style=False) if documents else ""


def _rank(group_resource: str) -> int:
    return _FIRST.index(group_resource) if group_resource in _FIRST else len(_FIRST)


def _users_objects(store: Store) -> Iterator[tuple[str, Doc]]:
    for group_resource in store.sizes():
        if group_resource in _MADE_BY_THE_CLUSTER:
            continue
        for entry in store.scan((group_resource,)):
            if _is_users(group_resource, entry.value):
                yield group_resource, entry.value


def _is_users(group_resource: str, obj: Doc) -> bool:
    """Not what a controller made for something else, nor what every cluster has."""
    metadata = obj["metadata"]
    if owner_references(obj) or is_terminating(obj) or _BOOTSTRAPPED in (metadata.get("labels") or {}):
        return False
    name, namespace = name_of(obj), namespace_of(obj)
    standard = {
        "namespaces": name in _SYSTEM_NAMESPACES,
        "serviceaccounts": name == "default",
        "configmaps": name in ("kube-root-ca.crt", "extension-apiserver-authentication"),
        "services": (namespace, name) == ("default", "kubernetes"),
        "priorityclasses.scheduling.k8s.io": name.startswith("system-"),
        "storageclasses.storage.k8s.io": obj.get("provisioner") == "minik8s.io/host-path",
        "persistentvolumes": "pv.kubernetes.io/provisioned-by" in (metadata.get("annotations") or {}),
    }
    return not standard.get(group_resource, False)


def _clean(obj: Doc) -> Obj:
    """Without what the server fills in and applying again would be refused or wrong."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _DROPPED_METADATA}
    cleaned: Obj = {**obj, "metadata": metadata}
    cleaned.pop("status", None)
    head = {key: cleaned.pop(key) for key in ("apiVersion", "kind")}
    return _thawed({**head, **cleaned})


def _thawed(value: Any) -> Any:
    """Plain dictionaries and lists: stored ones may be of the kind that refuses to be changed."""
    if isinstance(value, dict):
        return {key: _thawed(item) for key, item in value.items()}
    return [_thawed(item) for item in value] if isinstance(value, list) else value
