"""Defaults of a pod spec, shared by Pod and by everything with a pod template.

Upstream: pkg/apis/core/v1/defaults.go. A decoded document has no empty optional fields, so absence is all there is
to look for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.pods import container_amounts, container_totals
from minik8s.api.strategies.kind import set_default
from minik8s.machinery.meta import Obj

DEFAULT_MODE = 0o644
_SPEC: Mapping[str, Any] = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
}
_CONTAINER = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_VOLUME_SOURCES: Mapping[str, Mapping[str, Any]] = {
    "secret": {"defaultMode": DEFAULT_MODE},
    "configMap": {"defaultMode": DEFAULT_MODE},
    "downwardAPI": {"defaultMode": DEFAULT_MODE},
    "projected": {"defaultMode": DEFAULT_MODE},
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def default_pod_template(template: Obj) -> None:
    """Defaults of a PodTemplateSpec."""
    default_pod_spec(template["spec"])


def default_pod_spec(spec: Obj) -> None:
    """Defaults that hold in pods and in templates."""
    for key, value in _SPEC.items():
        if key not in spec:
            spec[key] = value
    spec.setdefault("securityContext", {})
    _mirror_service_account(spec)
    for list_name in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(list_name) or ():
            _default_container(container)
    for volume in spec.get("volumes") or ():
        _default_volume(volume)


def default_pod_only(spec: Obj) -> None:
    """Defaults of real pods: requests from limits, host ports of the host's network, service variables."""
    spec.setdefault("enableServiceLinks", True)
    for list_name in ("initContainers", "containers"):
        for container in spec.get(list_name) or ():
            _requests_from_limits(container)
    if "resources" in spec:
        _default_pod_level(spec)
    if spec.get("hostNetwork"):
        for list_name in ("initContainers", "containers"):
            for container in spec.get(list_name) or ():
                for port in container.get("ports") or ():
                    set_default(port, "hostPort", port["containerPort"])


def _mirror_service_account(spec: Obj) -> None:
    """The deprecated field always says what serviceAccountName says."""
    if name := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _default_container(container: Obj) -> None:
    container.setdefault("resources", {})
    for key, value in _CONTAINER.items():
        if key not in container:
            container[key] = value
    if "imagePullPolicy" not in container:
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    for port in container.get("ports") or ():
        set_default(port, "protocol", "TCP")
    for variable in container.get("env") or ():
        _default_field_ref(variable.get("valueFrom") or {})
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(name)) is not None:
            _default_probe(probe)
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _default_http_get(hook)


def pull_policy(image: str) -> str:
    """Always for the tag `latest`, also when it is only implied; else IfNotPresent."""
    name, _, digest = image.rpartition("/")[2].partition("@")
    _, _, tag = name.partition(":")
    if image and not tag and not digest:
        tag = "latest"
    return "Always" if tag == "latest" else "IfNotPresent"


def _default_probe(probe: Obj) -> None:
    for key, value in _PROBE.items():
        if key not in probe:
            probe[key] = value
    _default_http_get(probe)
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _default_http_get(handler: Obj) -> None:
    if (http := handler.get("httpGet")) is not None:
        set_default(http, "path", "/")
        set_default(http, "scheme", "HTTP")


def _default_field_ref(holder: Obj) -> None:
    if (reference := holder.get("fieldRef")) is not None:
        set_default(reference, "apiVersion", "v1")


def _default_volume(volume: Obj) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    for name, source in volume.items():
        if not isinstance(source, dict):
            continue
        for key, value in _VOLUME_SOURCES.get(name, {}).items():
            if key not in source:
                source[key] = value
    for item in (volume.get("downwardAPI") or {}).get("items") or ():
        _default_field_ref(item)
    for source in (volume.get("projected") or {}).get("sources") or ():
        if token := source.get("serviceAccountToken"):
            token.setdefault("expirationSeconds", 3600)
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            _default_field_ref(item)
    if claim := (volume.get("ephemeral") or {}).get("volumeClaimTemplate"):
        claim["spec"].setdefault("volumeMode", "Filesystem")
    if (image := volume.get("image")) is not None:
        set_default(image, "pullPolicy", pull_policy(image.get("reference", "")))


def _requests_from_limits(container: Obj) -> None:
    resources = container.get("resources")
    if not resources or not resources.get("limits"):
        return
    requests = resources.setdefault("requests", {})
    for name, limit in resources["limits"].items():
        requests.setdefault(name, limit)


def _default_pod_level(spec: Obj) -> None:
    """Pod-level requests: what the containers ask for together, else the pod-level limit."""
    limits = spec["resources"].get("limits") or {}
    totals = container_totals(spec, "requests")
    given = container_amounts(spec, "requests")
    wanted = {name: str(totals[name]) if totals.get(name) else limit for name, limit in limits.items()}
    wanted |= {name: str(amount) for name, amount in totals.items() if name in ("cpu", "memory") and amount}
    missing = {name: amount for name, amount in wanted.items() if name not in given}
    if missing:
        spec["resources"]["requests"] = {**(spec["resources"].get("requests") or {}), **missing}
