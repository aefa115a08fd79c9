"""What an API server serves, by its own word: the resources of its discovery documents.

The aggregated documents say it all in two answers. A server that has none (Kubernetes before 1.26, or one that was told
so) says it group version by group version, and is asked for each; what comes out has the aggregated form all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from minik8s.api.resource import Resource, Subresource
from minik8s.api.resources import BUILTIN
from minik8s.clock import Clock
from minik8s.logs import get_logger
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, Obj

_FORMS = [f"application/json;g=apidiscovery.k8s.io;v={v};as=APIGroupDiscoveryList" for v in ("v2", "v2beta1")]
ACCEPT = ",".join([*_FORMS, "application/json"])
"""What `Fetch` asks for: the best form that the server has."""
PATHS = ("/api", "/apis")
REFRESH_SECONDS = 30.0
"""How often the garbage collector and the quota controller look again; kube-controller-manager's period."""

Fetch = Callable[[str], Awaitable[Doc]]
"""Answers the document at a path. Raises ApiError or OSError."""

_KNOWN = {(r.group, r.version, r.plural): r for r in BUILTIN}
log = get_logger("minik8s.client.discovery")


async def documents(fetch: Fetch) -> list[Doc]:
    """What the server serves, as aggregated documents. Raises ApiError or OSError."""
    return [await _document(fetch, path) for path in PATHS]


async def _document(fetch: Fetch, path: str) -> Doc:
    found = await fetch(path)
    match found.get("kind"):
        case "APIVersions":
            groups = [("", [f"{path}/{version}" for version in found.get("versions") or ()])]
        case "APIGroupList":
            groups = [
                (group["name"], [f"{path}/{entry['groupVersion']}" for entry in group.get("versions") or ()])
                for group in found.get("groups") or ()
            ]
        case _:
            return found
    return {"items": [await _group(fetch, name, paths) for name, paths in groups]}


async def _group(fetch: Fetch, name: str, paths: Iterable[str]) -> Doc:
    """A group of which a version does not answer is known by its others; OSError is the whole server's."""
    versions = []
    for path in paths:
        try:
            versions.append(version_of(path.rpartition("/")[2], (await fetch(path)).get("resources") or ()))
        except ApiError:
            versions.append({"version": path.rpartition("/")[2], "freshness": "Stale"})
    return {"metadata": {"name": name}, "versions": versions}


def version_of(version: str, resources: Iterable[Doc]) -> Doc:
    """An APIResourceList's entries as an aggregated document has them: subresources with what they belong to."""
    entries: dict[str, Obj] = {}
    for resource in resources:
        name, _, subresource = resource["name"].partition("/")
        kind = {key: resource.get(key, "") for key in ("group", "version", "kind")}
        about = {"responseKind": kind, "verbs": resource.get("verbs") or []}
        if subresource:
            if name in entries:
                entries[name].setdefault("subresources", []).append({"subresource": subresource, **about})
            continue
        entries[name] = {
            "resource": name,
            "scope": "Namespaced" if resource.get("namespaced") else "Cluster",
            "singularResource": resource.get("singularName", ""),
            "shortNames": resource.get("shortNames") or [],
            "categories": resource.get("categories") or [],
            **about,
        }
    return {"version": version, "resources": list(entries.values())}


def resources_of(document: Doc) -> Iterator[Resource[Any]]:
    """The resources of one aggregated discovery document, in its order. Built-in ones are the constants themselves."""
    for group in document.get("items") or ():
        name = (group.get("metadata") or {}).get("name", "")
        for version in group.get("versions") or ():
            for entry in version.get("resources") or ():
                yield _resource(name, version["version"], entry)


def stale_in(document: Doc) -> Iterator[str]:
    """The group versions of which an aggregated document says that it does not know (any more) what they serve."""
    for group in document.get("items") or ():
        for version in group.get("versions") or ():
            if version.get("freshness") == "Stale":
                yield f"{group['metadata']['name']}/{version['version']}"


def _resource(group: str, version: str, entry: Doc) -> Resource[Any]:
    if known := _KNOWN.get((group, version, entry["resource"])):
        return known
    return Resource(
        group,
        version,
        entry["resource"],
        (entry.get("responseKind") or {}).get("kind", ""),
        entry.get("scope") == "Namespaced",
        short_names=tuple(entry.get("shortNames") or ()),
        categories=tuple(entry.get("categories") or ()),
        verbs=tuple(entry.get("verbs") or ()),
        subresources=tuple(map(_subresource, entry.get("subresources") or ())),
        singular=entry.get("singularResource", ""),
    )


def _subresource(entry: Doc) -> Subresource:
    kind = entry.get("responseKind") or {}
    verbs = tuple(entry.get("verbs") or ())
    return Subresource(
        entry["subresource"], verbs, kind.get("kind", ""), kind.get("group", ""), kind.get("version", "")
    )


class Discovery:
    """A view of what a server serves that is brought up to date from time to time; call it for the resources.

    A resource that stays keeps its identity, so that informers and indexes keyed by it go on being found.
    """

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch, self._clock = fetch, clock
        self._resources: dict[tuple[str, str, str], Resource[Any]] = {}
        self.stale: tuple[str, ...] = ()
        """Group versions that are registered and do not answer."""

    def __call__(self) -> list[Resource[Any]]:
        return list(self._resources.values())

    async def refresh(self) -> None:
        """Asks again. Raises ApiError or OSError, and keeps what it knew then."""
        found: dict[tuple[str, str, str], Resource[Any]] = {}
        stale: list[str] = []
        for document in await documents(self._fetch):
            stale += stale_in(document)
            for resource in resources_of(document):
                key = (resource.group, resource.version, resource.plural)
                known = self._resources.get(key)
                same = known is not None and (known.kind, known.verbs) == (resource.kind, resource.verbs)
                found[key] = known if known is not None and same else resource
        self._resources, self.stale = found, tuple(stale)

    async def run(self) -> None:
        """Refreshes until cancelled; a failure is tried again at the next turn."""
        while True:
            await self._clock.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except (ApiError, OSError) as error:
                log.debug("discovery failed", error=str(error))
