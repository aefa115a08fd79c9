"""The rules of metadata, which are the same for every kind.

Upstream: apimachinery pkg/api/validation/objectmeta.go. The server has already put back what an update cannot change
(uid, creationTimestamp, deletion marks), so what is left to check is what a client chooses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.strategy import NameRule
from minik8s.api.validation.common import Causes, named, validate_annotations, validate_labels
from minik8s.machinery import names
from minik8s.machinery.field import FieldErrors, forbidden, invalid, required
from minik8s.machinery.meta import Doc

STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
"""The names that need no domain."""


def validate_metadata(
    obj: Doc, old: Doc | None, *, namespaced: bool, name_rule: NameRule, builtin: bool = True
) -> FieldErrors:
    """All that is wrong with an object's metadata; `old` is what it replaces.

    Custom resources (`builtin=False`) may have finalizers without a domain; that only earns a warning.
    """
    metadata = obj["metadata"]
    errors = list(_identity(metadata, namespaced, name_rule)) if old is None else list(_kept(metadata, old["metadata"]))
    if "labels" in metadata:
        errors += validate_labels(metadata["labels"], "metadata.labels")
    if "annotations" in metadata:
        errors += validate_annotations(metadata["annotations"], "metadata.annotations")
    if "ownerReferences" in metadata:
        errors += _owners(metadata["ownerReferences"])
    if "finalizers" in metadata or "deletionTimestamp" in metadata:
        errors += _finalizers(metadata, old["metadata"] if old is not None else None, builtin)
    return errors


def _identity(metadata: Mapping[str, Any], namespaced: bool, name_rule: NameRule) -> Causes:
    if prefix := metadata.get("generateName"):
        masked = prefix[:-1] + "a" if prefix.endswith("-") else prefix
        for text in name_rule(masked):
            yield invalid("metadata.generateName", prefix, text)
    name = metadata.get("name")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from named(name, "metadata.name", name_rule)
    namespace = metadata.get("namespace")
    if namespaced:
        if not namespace:
            yield required("metadata.namespace")
        else:
            yield from named(namespace, "metadata.namespace", names.dns1123_label)
    elif namespace:
        yield forbidden("metadata.namespace", "not allowed on this type")


def _kept(metadata: Mapping[str, Any], old: Mapping[str, Any]) -> Causes:
    for key in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if metadata.get(key) != old.get(key):
            yield invalid(f"metadata.{key}", metadata.get(key), "field is immutable")


def _owners(owners: Sequence[Mapping[str, Any]]) -> Causes:
    controller: Mapping[str, Any] | None = None
    for owner in owners:
        yield from _owner(owner)
        if not owner.get("controller"):
            continue
        if controller is not None:
            both = " and ".join(f"{o.get('kind', '')}/{o.get('name', '')}" for o in (controller, owner))
            yield invalid(
                "metadata.ownerReferences",
                list(owners),
                f'Only one reference can have Controller set to true. Found "true" in references for {both}',
            )
        controller = owner


def _owner(owner: Mapping[str, Any]) -> Causes:
    path = "metadata.ownerReferences"
    group, _, version = owner.get("apiVersion", "").rpartition("/")
    if not version:
        yield invalid(f"{path}.apiVersion", owner.get("apiVersion", ""), "version must not be empty")
    for key in ("kind", "name", "uid"):
        if not owner.get(key):
            yield invalid(f"{path}.{key}", "", "must not be empty")
    if owner.get("kind") == "Event" and version == "v1" and group in ("", "events.k8s.io"):
        yield invalid(path, dict(owner), f"{owner['apiVersion']}, Kind=Event is disallowed from being an owner")


def _finalizers(metadata: Mapping[str, Any], old: Mapping[str, Any] | None, builtin: bool) -> Causes:
    finalizers: Sequence[str] = metadata.get("finalizers") or ()
    for index, name in enumerate(finalizers):
        path = f"metadata.finalizers[{index}]"
        yield from named(name, path, names.qualified_name)
        if builtin and "/" not in name and name not in STANDARD_FINALIZERS:
            yield invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified")
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        detail = "finalizer orphan and foregroundDeletion cannot be both set"
        yield invalid("metadata.finalizers", list(finalizers), detail)
    if old is not None and "deletionTimestamp" in old:
        before = set(old.get("finalizers") or ())
        if added := sorted({*finalizers} - before):
            shown = ", ".join(f'"{name}"' for name in added)
            yield forbidden(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, found new finalizers "
                f"[]string{{{shown}}}",
            )


def finalizer_warnings(obj: Doc) -> list[str]:
    """Warnings about finalizers whose name says no path."""
    return [
        f'metadata.finalizers: "{name}": prefer a domain-qualified finalizer name including a path (/) to avoid '
        "accidental conflicts with other finalizer writers"
        for name in obj["metadata"].get("finalizers") or ()
        if "/" not in name and name not in STANDARD_FINALIZERS
    ]
