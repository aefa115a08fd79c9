"""Which backend an Ingress means for a request. Pure.

The host decides first: named, then below a wildcard, then any. Of its paths the longest that matches is taken, and of
equal ones the exact one; between Ingresses the older has its way. Upstream: the reference of networking.k8s.io/v1
Ingress, whose ImplementationSpecific paths are prefixes here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from minik8s.machinery.meta import Doc, annotations_of, name_of, namespace_of

DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"


@attrs.frozen
class Backend:
    """A Service's port, by number or name; `resource` names a backend that is no Service."""

    namespace: str
    service: str = ""
    port: int | str = 0
    resource: str = ""


@attrs.frozen
class Route:
    """One path of one host; `host` "" is any, `*.example.com` a wildcard."""

    host: str
    path: str
    exact: bool
    backend: Backend


def class_of(ingress: Doc) -> str:
    """The name of its class; "" when it names none."""
    return ingress["spec"].get("ingressClassName") or annotations_of(ingress).get(CLASS_ANNOTATION, "")


def is_ours(ingress: Doc, classes: Iterable[Doc], controller: str) -> bool:
    """Whether its class, or without one the default class, is the controller's."""
    name = class_of(ingress)
    for found in classes:
        default = annotations_of(found).get(DEFAULT_CLASS) == "true"
        if (name_of(found) == name if name else default) and found["spec"].get("controller") == controller:
            return True
    return False


def routes_of(ingresses: Iterable[Doc]) -> list[Route]:
    """The routes of several Ingresses in the order in which they are to be tried."""
    ordered = sorted(ingresses, key=lambda i: (i["metadata"].get("creationTimestamp", ""), namespace_of(i), name_of(i)))
    found = [route for ingress in ordered for route in _routes(ingress)]
    return sorted(found, key=lambda r: (_rank(r.host), -len(r.path), not r.exact))


def _rank(host: str) -> int:
    return 2 if not host else 1 if host.startswith("*.") else 0


def _routes(ingress: Doc) -> Iterator[Route]:
    namespace, spec = namespace_of(ingress), ingress["spec"]
    for rule in spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            exact = path.get("pathType") == "Exact"
            yield Route(rule.get("host") or "", path.get("path") or "/", exact, _backend(namespace, path["backend"]))
    if spec.get("defaultBackend"):
        yield Route("", "", False, _backend(namespace, spec["defaultBackend"]))


def _backend(namespace: str, backend: Doc) -> Backend:
    if resource := backend.get("resource"):
        return Backend(namespace, resource=f"{resource.get('kind', '')} {resource.get('name', '')}")
    service = backend["service"]
    port = service.get("port") or {}
    return Backend(namespace, service["name"], port.get("number") or port.get("name") or 0)


def route_to(routes: Iterable[Route], host: str, path: str) -> Backend | None:
    """Where a request goes; None when nobody wants it. A host that is named is not looked for among the others."""
    host = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    best: int | None = None
    for route in routes:
        rank = _rank(route.host)
        if best is not None and rank > best and route.path:
            continue
        if not _is_host(route.host, host.lower()):
            continue
        if route.path and best is None:
            best = rank
        if _is_path(route, path):
            return route.backend
    return None


def _is_host(wanted: str, host: str) -> bool:
    if wanted.startswith("*."):
        label, _, rest = host.partition(".")
        return bool(label) and rest == wanted[2:]
    return not wanted or wanted == host


def _is_path(route: Route, path: str) -> bool:
    """A prefix matches whole elements: `/a` is one of `/a` and `/a/b`, not of `/ab`."""
    if route.exact:
        return path == route.path
    prefix = route.path.rstrip("/")
    return path == prefix or path.startswith(f"{prefix}/")
