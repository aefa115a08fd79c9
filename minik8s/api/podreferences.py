"""The objects that a pod needs from the API to run: Secrets and ConfigMaps by name.

Upstream: pkg/api/pod `VisitPodSecretNames` and `VisitPodConfigmapNames`. (Claims: `api.volumes.claims_of`.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minik8s.machinery.meta import Doc

_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def secrets_of(pod: Doc) -> set[str]:
    """Names of the Secrets that a pod mentions."""
    spec = pod["spec"]
    names = {reference.get("name", "") for reference in spec.get("imagePullSecrets") or ()}
    names.update(_from_environment(spec, "secret"))
    for source in _sources(spec):
        for key in ("secretRef", "nodePublishSecretRef"):
            names.add((source.get(key) or {}).get("name", ""))
        names.add(source.get("secretName", ""))
    names.update(reference["name"] for kind, reference in _projected(spec) if kind == "secret")
    return names - {""}


def config_maps_of(pod: Doc) -> set[str]:
    """Names of the ConfigMaps that a pod mentions."""
    spec = pod["spec"]
    names = set(_from_environment(spec, "configMap"))
    names.update((volume.get("configMap") or {}).get("name", "") for volume in spec.get("volumes") or ())
    names.update(reference["name"] for kind, reference in _projected(spec) if kind == "configMap")
    return names - {""}


def _from_environment(spec: Doc, kind: str) -> Iterator[str]:
    for list_name in _CONTAINERS:
        for container in spec.get(list_name) or ():
            for source in container.get("envFrom") or ():
                yield (source.get(f"{kind}Ref") or {}).get("name", "")
            for variable in container.get("env") or ():
                yield ((variable.get("valueFrom") or {}).get(f"{kind}KeyRef") or {}).get("name", "")


def _sources(spec: Doc) -> Iterator[Mapping[str, Any]]:
    for volume in spec.get("volumes") or ():
        yield from (source for source in volume.values() if isinstance(source, dict))


def _projected(spec: Doc) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for volume in spec.get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from ((kind, reference) for kind, reference in source.items() if reference.get("name"))
