"""/healthz, /livez and /readyz with their checks, each reachable by itself, all excludable.

Upstream: apiserver `pkg/server/healthz`. A server that answers at all is healthy here, so no check ever fails; the
names are those that probes and scripts ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minik8s.apiserver.plain import NOSNIFF, NOT_FOUND, TEXT, PlainResponse

_HOOKS = (
    "start-apiserver-admission-initializer",
    "generic-apiserver-start-informers",
    "priority-and-fairness-config-consumer",
    "priority-and-fairness-filter",
    "storage-object-count-tracker-hook",
    "start-apiextensions-informers",
    "start-apiextensions-controllers",
    "crd-informer-synced",
    "start-system-namespaces-controller",
    "start-cluster-authentication-info-controller",
    "start-kube-apiserver-identity-lease-controller",
    "start-legacy-token-tracking-controller",
    "start-service-ip-repair-controllers",
    "rbac/bootstrap-roles",
    "scheduling/bootstrap-system-priority-classes",
    "priority-and-fairness-config-producer",
    "bootstrap-controller",
    "start-kubernetes-service-cidr-controller",
    "aggregator-reload-proxy-client-cert",
    "start-kube-aggregator-informers",
    "apiservice-status-local-available-controller",
    "apiservice-status-remote-available-controller",
    "apiservice-registration-controller",
    "apiservice-discovery-controller",
    "kube-apiserver-autoregistration",
    "autoregister-completion",
    "apiservice-openapi-controller",
    "apiservice-openapiv3-controller",
)
_POST_START = tuple(f"poststarthook/{hook}" for hook in _HOOKS)
ROOTS: Mapping[str, tuple[str, ...]] = {
    "healthz": ("ping", "log", "etcd", *_POST_START),
    "livez": ("ping", "log", "etcd", *_POST_START),
    "readyz": ("ping", "log", "etcd", "etcd-readiness", "informer-sync", *_POST_START, "shutdown"),
}
"""The roots and their checks, in the order in which they are listed."""


def answer(root: str, check: Sequence[str], options: Mapping[str, str], excluded: Sequence[str]) -> PlainResponse:
    """`ok`, or with the parameter `verbose` a line for each check."""
    checks = ROOTS[root]
    if check:
        return OK if "/".join(check) in checks else NOT_FOUND
    if "verbose" not in options:
        return OK
    lines = [f"[+]{name} excluded: ok" if name in excluded else f"[+]{name} ok" for name in checks]
    if unknown := sorted(set(filter(None, excluded)) - set(checks)):
        names = " or ".join(f'"{name}"' for name in unknown)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
    lines.append(f"{root} check passed")
    return PlainResponse("".join(f"{line}\n" for line in lines).encode(), TEXT, headers=NOSNIFF, only_get=False)


OK = PlainResponse(b"ok", TEXT, headers=NOSNIFF, only_get=False)
