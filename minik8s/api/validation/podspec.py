"""A pod spec as a whole, in a Pod or in a template. Upstream: `ValidatePodSpec` and what it calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.pods import is_sidecar
from minik8s.api.validation.common import (
    MAX_INT32,
    Causes,
    in_range,
    named,
    one_of,
    required_name,
    validate_annotations,
    validate_labels,
)
from minik8s.api.validation.container import (
    Volumes,
    validate_container,
    validate_probes_and_hooks,
    validate_restart_rules,
)
from minik8s.api.validation.podos import validate_host_process, validate_os
from minik8s.api.validation.resources import validate_overhead, validate_pod_level
from minik8s.api.validation.scheduling import (
    validate_affinity,
    validate_scheduling_gates,
    validate_tolerations,
    validate_topology_spread,
)
from minik8s.api.validation.security import validate_pod_security
from minik8s.api.validation.volumes import validate_volumes
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, forbidden, invalid, not_found, required, too_long
from minik8s.machinery.meta import Doc

Part = Mapping[str, Any]

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_MAX_NAMESERVERS, _MAX_SEARCHES, _MAX_SEARCH_TEXT = 3, 32, 2048
_INIT_ONLY = "may not be set for init containers without restartPolicy=Always"
_EPHEMERAL_FORBIDDEN = (
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
)
_MAX_HOSTNAME = 64
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def validate_pod(pod: Doc) -> Causes:
    """A Pod's spec, with the rules that templates are spared."""
    spec = pod["spec"]
    yield from validate_pod_metadata(pod)
    yield from validate_pod_spec(spec, "spec", in_pod=True)
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            yield from _padded_image(container, f"spec.{field}[{index}]")
    if not spec.get("serviceAccountName"):
        for index, volume in enumerate(spec.get("volumes") or ()):
            for number, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
                if "serviceAccountToken" in source:
                    path = f"spec.volumes[{index}].projected.sources[{number}].serviceAccountToken"
                    yield forbidden(path, "must not be specified when serviceAccountName is not set")


def validate_pod_metadata(pod: Doc) -> Causes:
    """The annotations that mean something in a Pod."""
    cost = (pod["metadata"].get("annotations") or {}).get(DELETION_COST)
    if cost is not None and not _is_int32(cost):
        yield invalid(f"metadata.annotations[{DELETION_COST}]", cost, "must be a 32bit integer")


def validate_pod_template(template: Part, path: str) -> Causes:
    """A PodTemplateSpec."""
    yield from validate_template_metadata(template, path)
    yield from validate_pod_spec(template["spec"], f"{path}.spec", in_pod=False)
    if template["spec"].get("ephemeralContainers"):
        yield forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def validate_template_metadata(template: Part, path: str) -> Causes:
    """The labels and annotations of a PodTemplateSpec."""
    metadata = template.get("metadata") or {}
    yield from validate_labels(metadata.get("labels"), f"{path}.labels")
    yield from validate_annotations(metadata.get("annotations"), f"{path}.annotations")


def validate_pod_spec(spec: Part, path: str, *, in_pod: bool) -> Causes:
    """The whole spec, in upstream's order. What a pod does not have is not visited: most have little of it."""
    volumes: Volumes = {volume.get("name", ""): volume for volume in spec.get("volumes") or ()}
    if volumes:
        yield from validate_volumes(spec["volumes"], f"{path}.volumes")
    if claims := spec.get("resourceClaims"):
        yield from _resource_claims(claims, f"{path}.resourceClaims")
    yield from _containers(spec, path, volumes)
    if spec.get("initContainers"):
        yield from _init_containers(spec, path, volumes)
    if spec.get("ephemeralContainers"):
        yield from _ephemeral_containers(spec, path, volumes)
    if spec.get("resources"):
        yield from validate_pod_level(spec, f"{path}.resources")
    if spec.get("hostNetwork"):
        yield from _host_network_ports(spec, path, in_pod=in_pod)
    yield from one_of(spec.get("restartPolicy"), f"{path}.restartPolicy", RESTART_POLICIES)
    yield from one_of(spec.get("dnsPolicy"), f"{path}.dnsPolicy", DNS_POLICIES)
    if selector := spec.get("nodeSelector"):
        yield from validate_labels(selector, f"{path}.nodeSelector")
    yield from validate_pod_security(spec.get("securityContext") or {}, spec, f"{path}.securityContext")
    if affinity := spec.get("affinity"):
        yield from validate_affinity(affinity, f"{path}.affinity")
    yield from _dns_config(spec, f"{path}.dnsConfig")
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        condition, place = gate.get("conditionType", ""), f"{path}.readinessGates[{index}].conditionType"
        yield from named(condition, place, names.qualified_name)
    if gates := spec.get("schedulingGates"):
        yield from validate_scheduling_gates(gates, f"{path}.schedulingGates")
    if constraints := spec.get("topologySpreadConstraints"):
        yield from validate_topology_spread(constraints, f"{path}.topologySpreadConstraints")
    if _has_security(spec):
        yield from validate_host_process(spec, path)
    yield from _host_users(spec, path)
    yield from _names(spec, path)
    if (seconds := spec.get("activeDeadlineSeconds")) is not None:
        yield from in_range(seconds, f"{path}.activeDeadlineSeconds", 1, MAX_INT32)
    yield from validate_tolerations(spec.get("tolerations") or (), f"{path}.tolerations")
    if aliases := spec.get("hostAliases"):
        yield from _host_aliases(aliases, f"{path}.hostAliases")
    if policy := spec.get("preemptionPolicy"):
        yield from one_of(policy, f"{path}.preemptionPolicy", ("PreemptLowerPriority", "Never"))
    if overhead := spec.get("overhead"):
        yield from validate_overhead(overhead, f"{path}.overhead")
    if spec.get("os") is not None:
        yield from validate_os(spec, path)


def _has_security(spec: Part) -> bool:
    """Whether the pod or any container of it says anything about its security."""
    if spec.get("securityContext"):
        return True
    containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    return any("securityContext" in container for container in (*containers, *(spec.get("ephemeralContainers") or ())))


def _is_int32(text: str) -> bool:
    return re.fullmatch(r"0|-?[1-9][0-9]{0,9}", text) is not None and -MAX_INT32 - 1 <= int(text) <= MAX_INT32


_NAMED = (
    ("serviceAccountName", names.dns1123_subdomain),
    ("nodeName", names.dns1123_subdomain),
    ("hostname", names.dns1123_label),
    ("subdomain", names.dns1123_label),
    ("priorityClassName", names.dns1123_subdomain),
    ("runtimeClassName", names.dns1123_subdomain),
)


def _names(spec: Part, path: str) -> Causes:
    for field, rule in _NAMED:
        if value := spec.get(field):
            yield from named(value, f"{path}.{field}", rule)
    if (override := spec.get("hostnameOverride")) is not None:
        yield from _hostname_override(override, spec, f"{path}.hostnameOverride")


def _hostname_override(name: str, spec: Part, path: str) -> Causes:
    yield from named(name, path, names.dns1123_subdomain)
    if len(name) > _MAX_HOSTNAME:
        yield too_long(path, _MAX_HOSTNAME)
    if spec.get("setHostnameAsFQDN"):
        yield forbidden(path, "must not be set when `setHostnameAsFQDN` is true")
    if spec.get("hostNetwork"):
        yield forbidden(path, "must not be set when `hostNetwork` is true")


def _claim_names(spec: Part) -> frozenset[str]:
    return frozenset(claim.get("name", "") for claim in spec.get("resourceClaims") or ())


def _containers(spec: Part, path: str, volumes: Volumes) -> Causes:
    containers = spec.get("containers") or ()
    path = f"{path}.containers"
    if not containers:
        yield required(path)
    claims, restart, grace = (
        _claim_names(spec),
        spec.get("restartPolicy", ""),
        spec.get("terminationGracePeriodSeconds"),
    )
    host_users = spec.get("hostUsers") is not False
    seen = set()
    for index, container in enumerate(containers):
        place, name = f"{path}[{index}]", container.get("name", "")
        yield from validate_container(container, place, volumes, claims, restart, host_users)
        if name in seen:
            yield duplicate(f"{place}.name", name)
        seen.add(name)
        yield from validate_probes_and_hooks(container, place, grace)
        if "restartPolicy" in container or "restartPolicyRules" in container:
            yield from validate_restart_rules(container, place)
    yield from _host_ports(containers, path)


def _host_ports(containers: Sequence[Part], path: str) -> Causes:
    seen = set()
    for index, container in enumerate(containers):
        for number, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            text = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if text in seen:
                yield duplicate(f"{path}[{index}].ports[{number}].hostPort", text)
            seen.add(text)


def _init_containers(spec: Part, path: str, volumes: Volumes) -> Causes:
    path = f"{path}.initContainers"
    claims, restart, grace = (
        _claim_names(spec),
        spec.get("restartPolicy", ""),
        spec.get("terminationGracePeriodSeconds"),
    )
    host_users = spec.get("hostUsers") is not False
    seen = {container.get("name") for container in spec.get("containers") or ()}
    for index, container in enumerate(spec.get("initContainers") or ()):
        place, name = f"{path}[{index}]", container.get("name", "")
        yield from validate_container(container, place, volumes, claims, restart, host_users)
        yield from validate_restart_rules(container, place)
        if name and name in seen:
            yield duplicate(f"{place}.name", name)
        seen.add(name)
        yield from _host_ports([container], path)
        if is_sidecar(container):
            yield from validate_probes_and_hooks(container, place, grace)
            continue
        for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if container.get(field) is not None:
                yield forbidden(f"{place}.{field}", _INIT_ONLY)


def _ephemeral_containers(spec: Part, path: str, volumes: Volumes) -> Causes:
    path = f"{path}.ephemeralContainers"
    claims, restart = _claim_names(spec), spec.get("restartPolicy", "")
    others = {c.get("name") for field in ("containers", "initContainers") for c in spec.get(field) or ()}
    seen = set(others)
    for index, container in enumerate(spec.get("ephemeralContainers") or ()):
        place, name = f"{path}[{index}]", container.get("name", "")
        yield from validate_container(container, place, volumes, claims, restart, spec.get("hostUsers") is not False)
        yield from _padded_image(container, place)
        if name in seen:
            yield duplicate(f"{place}.name", name)
        seen.add(name)
        target = container.get("targetContainerName")
        if target and target not in others:
            yield not_found(f"{place}.targetContainerName", target)
        for field in _EPHEMERAL_FORBIDDEN:
            if container.get(field):
                yield forbidden(f"{place}.{field}", "cannot be set for an Ephemeral Container")
        for number, mount in enumerate(container.get("volumeMounts") or ()):
            for field in ("subPath", "subPathExpr"):
                if mount.get(field):
                    where = f"{place}.volumeMounts[{number}].{field}"
                    yield forbidden(where, "cannot be set for an Ephemeral Container")


def _padded_image(container: Part, path: str) -> Causes:
    image = container.get("image", "")
    if image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")


def _host_network_ports(spec: Part, path: str, *, in_pod: bool) -> Causes:
    for index, container in enumerate(spec.get("containers") or ()):
        for number, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort", 0)
            if (in_pod or host) and host != port.get("containerPort", 0):
                place = f"{path}.containers[{index}].ports[{number}].hostPort"
                yield invalid(place, host, "must match `containerPort` when `hostNetwork` is true")


def _dns_config(spec: Part, path: str) -> Causes:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            yield required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
        elif not config.get("nameservers"):
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield required(f"{path}.nameservers", detail)
            return
    if config is None:
        return
    servers, searches = config.get("nameservers") or (), config.get("searches") or ()
    if len(servers) > _MAX_NAMESERVERS:
        yield invalid(f"{path}.nameservers", servers, f"must not have more than {_MAX_NAMESERVERS} nameservers")
    for index, server in enumerate(servers):
        yield from named(server, f"{path}.nameservers[{index}]", names.ip)
    if len(searches) > _MAX_SEARCHES:
        yield invalid(f"{path}.searches", searches, f"must not have more than {_MAX_SEARCHES} search paths")
    if len(" ".join(searches)) > _MAX_SEARCH_TEXT:
        detail = f"must not have more than {_MAX_SEARCH_TEXT} characters (including spaces) in the search list"
        yield invalid(f"{path}.searches", searches, detail)
    for index, search in enumerate(searches):
        if search != ".":
            bare = search.removesuffix(".").replace("_", "a")
            yield from named(bare, f"{path}.searches[{index}]", names.dns1123_subdomain)
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            yield required(f"{path}.options[{index}]", "must not be empty")


def _host_users(spec: Part, path: str) -> Causes:
    if spec.get("hostUsers") is not False:
        return
    for field, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(field):
            yield forbidden(f"{path}.{shown}", "when `hostUsers` is false")


def _host_aliases(aliases: Sequence[Part], path: str) -> Causes:
    for index, alias in enumerate(aliases):
        yield from named(alias.get("ip", ""), f"{path}[{index}].ip", names.ip)
        for number, hostname in enumerate(alias.get("hostnames") or ()):
            yield from named(hostname, f"{path}[{index}].hostnames[{number}]", names.dns1123_subdomain)


def _resource_claims(claims: Sequence[Part], path: str) -> Causes:
    seen = set()
    for index, claim in enumerate(claims):
        place, name = f"{path}[{index}]", claim.get("name", "")
        if name in seen and name:
            yield duplicate(f"{place}.name", name)
        else:
            yield from required_name(name, f"{place}.name", names.dns1123_label)
        seen.add(name)
        given = [key for key in ("resourceClaimName", "resourceClaimTemplateName") if claim.get(key) is not None]
        if len(given) > 1:
            detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            yield invalid(place, dict(claim), detail)
        elif not given:
            detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            yield invalid(place, dict(claim), detail)
        for key in given:
            yield from named(claim[key], f"{place}.{key}", names.dns1123_subdomain)
