"""What may change in a Pod that exists. Upstream: `ValidatePodUpdate`, `ValidatePodStatusUpdate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.restart import Verdict, after_exit, may_start_over, role_of
from minik8s.api.validation.common import IMMUTABLE, MAX_INT32, Causes, in_range, named
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, forbidden, invalid, required
from minik8s.machinery.meta import Doc

Part = Mapping[str, Any]

_UNCHANGEABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_ENDED = "may not be transitioned to non-terminated state"
_SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")


def validate_pod_change(pod: Doc, old: Doc) -> Causes:
    """An update through the main endpoint."""
    new, before = pod["spec"], old["spec"]
    if new == before:
        return
    for field in ("containers", "initContainers"):
        if len(new.get(field) or ()) != len(before.get(field) or ()):
            yield forbidden(f"spec.{field}", "pod updates may not add or remove containers")
            return
    yield from _deadline(new, before)
    yield from _tolerations(new.get("tolerations") or (), before.get("tolerations") or ())
    known = {gate.get("name", "") for gate in before.get("schedulingGates") or ()}
    for index, gate in enumerate(new.get("schedulingGates") or ()):
        if (name := gate.get("name", "")) not in known:
            detail = f"only deletion is allowed, but found new scheduling gate '{name}'"
            yield forbidden(f"spec.schedulingGates[{index}].name", detail)
    if known:
        yield from _gated(new, before)
    if _fixed(new, before) != _fixed(before, before):
        yield forbidden("spec", _UNCHANGEABLE)


def _deadline(new: Part, before: Part) -> Causes:
    path, seconds, had = (
        "spec.activeDeadlineSeconds",
        new.get("activeDeadlineSeconds"),
        before.get("activeDeadlineSeconds"),
    )
    if seconds is None:
        if had is not None:
            yield invalid(path, None, "must not update from a positive integer to nil value")
        return
    yield from in_range(seconds, path, 0, MAX_INT32)
    if had is not None and had < seconds:
        yield invalid(path, seconds, "must be less than or equal to previous value")


def _tolerations(new: Sequence[Part], before: Sequence[Part]) -> Causes:
    present = [_without_seconds(toleration) for toleration in new]
    if any(_without_seconds(toleration) not in present for toleration in before):
        yield forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")


def _without_seconds(toleration: Part) -> dict[str, Any]:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _gated(new: Part, before: Part) -> Causes:
    """A pod that waits at a gate may still have its choice of nodes narrowed."""
    wanted, had = new.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    for key, value in had.items():
        if wanted.get(key) != value:
            detail = "only additions are allowed, existing requirements cannot be changed or deleted"
            yield invalid("spec.nodeSelector", dict(wanted), detail)
            break
    old_terms, new_terms = _required_terms(before), _required_terms(new)
    if not old_terms:
        return
    path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    if len(old_terms) != len(new_terms):
        yield invalid(path, list(new_terms), "no additions/deletions to non-empty NodeSelectorTerms list are allowed")
        return
    for index, (old_term, new_term) in enumerate(zip(old_terms, new_terms, strict=True)):
        for field in ("matchExpressions", "matchFields"):
            listed = new_term.get(field) or ()
            if any(requirement not in listed for requirement in old_term.get(field) or ()):
                detail = "only additions are allowed (no mutations or deletions)"
                yield invalid(f"{path}[{index}]", dict(new_term), detail)


def _required_terms(spec: Part) -> Sequence[Part]:
    node = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return (node.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or ()


def _fixed(spec: Part, before: Part) -> dict[str, Any]:
    """A spec without what may change, given what it was before."""
    free = {"activeDeadlineSeconds", "tolerations", "schedulingGates"}
    if before.get("schedulingGates"):
        free.add("nodeSelector")
    grace = before.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0 and spec.get("terminationGracePeriodSeconds") in (1, grace):
        free.add("terminationGracePeriodSeconds")
    fixed = {key: value for key, value in spec.items() if key not in free}
    for field in ("containers", "initContainers"):
        if field in fixed:
            fixed[field] = [{k: v for k, v in c.items() if k != "image"} for c in fixed[field]]
    if before.get("schedulingGates") and "affinity" in fixed:
        fixed["affinity"] = {k: v for k, v in fixed["affinity"].items() if k != "nodeAffinity"} or None
    return {key: value for key, value in fixed.items() if value is not None}


def validate_pod_status_change(pod: Doc, old: Doc) -> Causes:
    """An update of the status, mostly a kubelet's."""
    status, before = pod.get("status") or {}, old.get("status") or {}
    for index, condition in enumerate(status.get("conditions") or ()):
        kind = condition.get("type", "")
        if kind not in _SYSTEM_CONDITIONS:
            yield from named(kind, f"metadata.conditions[{index}].Type", names.qualified_name)
    nominated = status.get("nominatedNodeName")
    if nominated and nominated != before.get("nominatedNodeName"):
        yield from named(nominated, "status.nominatedNodeName", names.dns1123_subdomain)
    if before.get("qosClass") and status.get("qosClass") != before["qosClass"]:
        yield invalid("status.qosClass", status.get("qosClass", ""), IMMUTABLE)
    spec = old["spec"]
    yield from _revived(status, before, "containers", spec)
    yield from _revived(status, before, "initContainers", spec)
    yield from _revived(status, before, "ephemeralContainers", spec)
    yield from _claim_statuses(status.get("resourceClaimStatuses") or (), spec.get("resourceClaims") or ())
    if (extended := status.get("extendedResourceClaimStatus")) is not None:
        yield from _extended_claim(extended, spec, "status.extendedResourceClaimStatus")
    hosts = status.get("hostIPs") or ()
    if hosts and hosts[0].get("ip", "") != status.get("hostIP", ""):
        yield invalid("status.hostIPs[0].ip", hosts[0].get("ip", ""), "must be equal to `hostIP`")
    for field in ("podIPs", "hostIPs"):
        yield from _addresses(status.get(field) or (), f"status.{field}")


def _addresses(addresses: Sequence[Part], path: str) -> Causes:
    """A pod's or its node's addresses: one of each family at most."""
    listed = [address.get("ip", "") for address in addresses]
    for index, address in enumerate(listed):
        yield from named(address, f"{path}[{index}]", names.ip)
    if len(listed) < 2:
        return
    if len(listed) > 2 or len({":" in address for address in listed}) < 2:
        yield invalid(
            path, [dict(address) for address in addresses], "may specify no more than one IP for each IP family"
        )
    for index, address in enumerate(listed):
        if address in listed[:index]:
            yield duplicate(f"{path}[{index}]", dict(addresses[index]))


def _claim_statuses(statuses: Sequence[Part], claims: Sequence[Part]) -> Causes:
    known = {claim.get("name", "") for claim in claims}
    for index, status in enumerate(statuses):
        path, name = f"status.resourceClaimStatuses[{index}].name", status.get("name", "")
        if name not in known:
            yield invalid(path, name, "must match the name of an entry in `spec.resourceClaims`")
        if any(earlier.get("name", "") == name for earlier in statuses[:index]):
            yield duplicate(path, name)
        if (claim := status.get("resourceClaimName")) is not None:
            yield from named(claim, path, names.dns1123_subdomain)


def _extended_claim(claim: Part, spec: Part, path: str) -> Causes:
    """The claim for a pod's extended resources, and which of its requests is for what of which container."""
    containers = {c.get("name", ""): c for part in ("initContainers", "containers") for c in spec.get(part) or ()}
    mappings = claim.get("requestMappings") or ()
    if not mappings:
        yield required(f"{path}.requestMappings", "at least one request mapping is required")
    for index, mapping in enumerate(mappings):
        here, fields = f"{path}.requestMappings[{index}]", ("containerName", "resourceName", "requestName")
        container, resource, request = (mapping.get(field, "") for field in fields)
        if container not in containers:
            yield invalid(
                f"{here}.containerName", container, f"must match the name of an entry in {_containers('name')}"
            )
        elif resource not in ((containers[container].get("resources") or {}).get("requests") or {}):
            where = _containers("resources.requests")
            yield invalid(
                f"{here}.resourceName", resource, f"must match the extended resource name of an entry in {where}"
            )
        yield from named(request, f"{path}.requestName", names.dns1123_label)
        if any(all(earlier.get(f, "") == mapping.get(f, "") for f in fields) for earlier in mappings[:index]):
            yield from (duplicate(f"{here}.{field}", mapping.get(field, "")) for field in fields)
    if name := claim.get("resourceClaimName"):
        yield from named(name, f"{path}.resourceClaimName", names.dns1123_subdomain)
    else:
        yield required(f"{path}.resourceClaimName")


def _containers(field: str) -> str:
    return f"spec.initContainers.{field} or spec.containers.{field}"


def _revived(status: Part, before: Part, field: str, spec: Part) -> Causes:
    """Containers that have ended for good but are reported as something else."""
    reported = f"{field.removesuffix('s')}Statuses"
    now = {container.get("name", ""): container for container in status.get(reported) or ()}
    for index, container in enumerate(before.get(reported) or ()):
        ended, name = (container.get("state") or {}).get("terminated"), container.get("name", "")
        new = now.get(name)
        if ended is None or new is None or "terminated" in (new.get("state") or {}):
            continue
        if not _may_start_again(spec, field, name, ended.get("exitCode", 0)):
            yield forbidden(f"status.{reported}[{index}].state", _ENDED)


def _may_start_again(spec: Part, field: str, name: str, exit_code: int) -> bool:
    """Whether a container that has ended may come to life: by its rules, its policy, the pod's, or its pod's new start.

    An init container that has succeeded is judged by its policy, too: it runs again in a new sandbox.
    """
    if field != "ephemeralContainers" and may_start_over(spec):
        return True
    declared: Part = next((c for c in spec.get(field) or () if c.get("name", "") == name), {})
    role = role_of(declared, field)
    policy = spec.get("restartPolicy", "Always")
    return after_exit(policy, declared, "app" if role == "init" else role, exit_code) is not Verdict.STAY
