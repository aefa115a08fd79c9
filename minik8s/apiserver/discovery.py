"""What the server serves, told to clients: aggregated discovery (v2) and the legacy documents.

Pure functions over the resources being served, in the order in which they are given: groups and versions appear
as they come, and the first version of a group is its preferred one. Built-in and custom resources are told alike.
Upstream: apiserver `pkg/endpoints/discovery`.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from minik8s.api.resource import Resource, Subresource
from minik8s.api.resources import BUILTIN, STORED_AS
from minik8s.machinery.meta import Doc, Obj

AGGREGATED_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""The Content-Type that marks an aggregated document; without these parameters clients read it as a legacy one."""

Resources = Sequence[Resource[Any]]
_BUILTIN = frozenset(BUILTIN)


def etag(document: Doc) -> str:
    """A strong hash of the content, without the quotes of the ETag header."""
    return hashlib.sha512(orjson.dumps(document)).hexdigest()[:64].upper()


def by_version(resources: Iterable[Resource[Any]]) -> dict[str, dict[str, list[Resource[Any]]]]:
    """group -> version -> resources, each in order of appearance."""
    groups: dict[str, dict[str, list[Resource[Any]]]] = {}
    for resource in resources:
        groups.setdefault(resource.group, {}).setdefault(resource.version, []).append(resource)
    return groups


# -- aggregated ----------------------------------------------------------------------------------------------


def aggregated_core(resources: Resources) -> Obj:
    """`/api`: the core group, whose entry has no name."""
    return _group_list(r for r in resources if not r.group)


def aggregated_groups(resources: Resources) -> Obj:
    """`/apis`: every named group."""
    return _group_list(r for r in resources if r.group)


def _group_list(resources: Iterable[Resource[Any]]) -> Obj:
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": group} if group else {},
                "versions": [
                    {"version": version, "resources": [_aggregated(r) for r in members], "freshness": "Current"}
                    for version, members in versions.items()
                ],
            }
            for group, versions in by_version(resources).items()
        ],
    }


def _aggregated(resource: Resource[Any]) -> Obj:
    found: Obj = {
        "resource": resource.plural,
        "responseKind": _response_kind(resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.categories:
        found["categories"] = list(resource.categories)
    if resource.subresources:
        found["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": _response_kind(sub.kind or resource.kind, sub.group, sub.version),
                "verbs": sorted(sub.verbs),
            }
            for sub in resource.subresources
        ]
    return found


def _response_kind(kind: str, group: str = "", version: str = "") -> Obj:
    """Empty group and version stand for those of the enclosing group-version."""
    return {"group": group, "version": version, "kind": kind}


# -- legacy --------------------------------------------------------------------------------------------------


def api_versions(address: str) -> Obj:
    """`/api` for clients that know no aggregated discovery; `address` is the server's `host:port`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def api_group_list(resources: Resources) -> Obj:
    """`/apis`."""
    groups = [_group(group, versions) for group, versions in by_version(resources).items() if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(group: str, resources: Resources) -> Obj | None:
    """`/apis/<group>`; None when nothing is served there."""
    versions = by_version(resources).get(group) if group else None
    return None if versions is None else {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}


def _group(group: str, versions: Iterable[str]) -> Obj:
    entries = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": entries, "preferredVersion": entries[0]}


def api_resource_list(group_version: str, resources: Resources) -> Obj | None:
    """`/api/v1` (group_version `v1`) or `/apis/<group>/<version>`; None when nothing is served there."""
    members = [r for r in resources if r.api_version == group_version]
    if not members:
        return None
    entries = [entry for resource in members for entry in _legacy_entries(resource)]
    head = {"kind": "APIResourceList"} if group_version == "v1" else {"kind": "APIResourceList", "apiVersion": "v1"}
    return {**head, "groupVersion": group_version, "resources": entries}


def _legacy_entries(resource: Resource[Any]) -> list[Obj]:
    """A resource and its subresources, in the order of names as upstream lists them."""
    entry: Obj = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if "watch" in resource.verbs and resource in _BUILTIN:
        entry["storageVersionHash"] = storage_version_hash(STORED_AS.get(resource, resource))
    return [entry, *(_legacy_subresource(resource, sub) for sub in resource.subresources)]


def storage_version_hash(storage: Resource[Any]) -> str:
    """Changes when a kind's objects are stored in another version; clients may compare it, nothing else."""
    text = f"{storage.group}/{storage.version}/{storage.kind}"
    return b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _legacy_subresource(resource: Resource[Any], sub: Subresource) -> Obj:
    entry: Obj = {
        "name": f"{resource.plural}/{sub.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": sub.kind or resource.kind,
        "verbs": sorted(sub.verbs),
    }
    if sub.version:
        entry |= {"group": sub.group, "version": sub.version}
    return entry
