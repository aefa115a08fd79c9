"""The part of remote APIs in discovery documents. Pure.

Upstream: kube-aggregator `handler_apis.go`, and `convertLegacyToDiscovery...` of k8s.io/apiserver
`pkg/endpoints/discovery/aggregated`, which reads the aggregated form off an APIResourceList.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minik8s.apiserver.aggregation.remote import GroupVersion, RemoteApi
from minik8s.machinery.meta import Doc, Obj


def groups(apis: Iterable[RemoteApi]) -> dict[str, list[RemoteApi]]:
    """By group, the versions that clients prefer first."""
    found: dict[str, list[RemoteApi]] = {}
    for api in apis:
        found.setdefault(api.group, []).append(api)
    for versions in found.values():
        versions.sort(key=lambda api: -api.priority[1])
    return found


def with_group(group: Obj | None, name: str, versions: Iterable[RemoteApi]) -> Obj:
    """An entry of an APIGroupList, of a group that this server may serve in part itself."""
    own: list[Obj] = group["versions"] if group else []
    entries = [{"groupVersion": f"{api.group}/{api.version}", "version": api.version} for api in versions]
    taken = {entry["version"] for entry in entries}
    entries = [entry for entry in own if entry["version"] not in taken] + entries
    return {**(group or {"name": name}), "versions": entries, "preferredVersion": entries[0]}


def with_groups(document: Doc, apis: Iterable[RemoteApi]) -> Obj:
    """An APIGroupList with remote groups too."""
    own: dict[str, Obj] = {group["name"]: group for group in document["groups"]}
    for name, versions in groups(apis).items():
        own[name] = with_group(own.get(name), name, versions)
    return {**document, "groups": list(own.values())}


def with_aggregated(document: Doc, apis: Iterable[RemoteApi], resources: Mapping[GroupVersion, Doc]) -> Obj:
    """An APIGroupDiscoveryList with remote groups too; one that does not answer is Stale."""
    own: dict[str, Obj] = {item["metadata"]["name"]: item for item in document["items"]}
    for name, versions in groups(apis).items():
        entries = [_version(api, resources.get(api.group_version)) for api in versions]
        taken = {entry["version"] for entry in entries}
        item = own.get(name, {"metadata": {"name": name}, "versions": []})
        kept = [entry for entry in item["versions"] if entry["version"] not in taken]
        own[name] = {**item, "versions": kept + entries}
    return {**document, "items": list(own.values())}


def _version(api: RemoteApi, listed: Doc | None) -> Obj:
    if listed is None:
        return {"version": api.version, "freshness": "Stale"}
    return {"version": api.version, "resources": _aggregated(listed, api), "freshness": "Current"}


def _aggregated(listed: Doc, api: RemoteApi) -> list[Obj]:
    """APIResourceList to aggregated resources: `a/b` is a subresource of `a`, whether or not `a` is listed."""
    found: dict[str, Obj] = {}
    for resource in listed.get("resources") or ():
        name, _, sub = resource.get("name", "").partition("/")
        entry = found.setdefault(name, {"resource": name, "responseKind": {}, "scope": _scope(resource), "verbs": []})
        kind = {
            "group": resource.get("group") or api.group,
            "version": resource.get("version") or api.version,
            "kind": resource.get("kind", ""),
        }
        verbs = list(resource.get("verbs") or ())
        if sub:
            entry.setdefault("subresources", []).append({"subresource": sub, "responseKind": kind, "verbs": verbs})
            continue
        entry |= {"responseKind": kind, "singularResource": resource.get("singularName", ""), "verbs": verbs}
        entry |= {key: resource[key] for key in ("shortNames", "categories") if resource.get(key)}
    return list(found.values())


def _scope(resource: Doc) -> str:
    return "Namespaced" if resource.get("namespaced") else "Cluster"
