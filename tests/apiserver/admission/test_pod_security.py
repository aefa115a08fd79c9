"""Pod Security Standards: what enforcement, warnings and audit say, by the versions of the standards."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource
from minik8s.machinery.errors import Invalid
from tests.apiserver.admission.plugins import CONTAINER, admitted, attributes, pod, refused, run


def restricted(**more: str) -> tuple[Resource[Any], dict[str, Any]]:
    labels = {f"pod-security.kubernetes.io/{mode.replace('_', '-')}": level for mode, level in more.items()}
    return (r.NAMESPACES, {"metadata": {"name": "default", "labels": labels}})


RESTRICTED = (
    'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), '
    'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != '
    'true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must '
    'set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
)

HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def test_pod_security() -> None:
    """A namespace's label refuses pods, or only warns about them and about what would make them."""
    assert refused(r.PODS, pod(), restricted(enforce="restricted")) == (
        f'pods "x" is forbidden: violates PodSecurity "restricted:latest": {RESTRICTED}'
    )
    assert refused(r.PODS, pod(hostNetwork=True), restricted(enforce="baseline", enforce_version="v1.30")).endswith(
        'violates PodSecurity "baseline:v1.30": host namespaces (hostNetwork=true)'
    )
    admitted(r.PODS, pod(), restricted(enforce="baseline"))
    admitted(r.PODS, pod(containers=[{**CONTAINER, "securityContext": HARDENED}]), restricted(enforce="restricted"))
    warned = run(attributes(r.PODS, pod()), restricted(warn="restricted"))
    assert warned.warnings == [f'would violate PodSecurity "restricted:latest": {RESTRICTED}']
    template = {"metadata": {"labels": {"a": "b"}}, **pod()}
    deployment = {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
    assert run(attributes(r.DEPLOYMENTS, deployment), restricted(warn="restricted")).warnings == warned.warnings
    wrong = {"metadata": {"name": "n", "labels": {"pod-security.kubernetes.io/enforce": "strict"}}}
    with pytest.raises(Invalid, match="must be one of privileged, baseline, restricted"):
        run(attributes(r.NAMESPACES, wrong))


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"hostPID": True, "hostIPC": True}, "host namespaces (hostPID=true, hostIPC=true)"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, 'hostPath volumes (volume "v")'),
        (
            {"containers": [{**CONTAINER, "ports": [{"containerPort": 80, "hostPort": 80}]}]},
            'hostPort (container "c" uses hostPort 80)',
        ),
        (
            {"containers": [{**CONTAINER, "securityContext": {"privileged": True}}]},
            'privileged (container "c" must not set securityContext.privileged=true)',
        ),
        (
            {"containers": [{**CONTAINER, "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]},
            'non-default capabilities (container "c" must not include "NET_ADMIN" in securityContext.capabilities.add)',
        ),
        (
            {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
            'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (
            {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            {"containers": [{**CONTAINER, "livenessProbe": {"httpGet": {"host": "a.b", "port": 80}}}]},
            'probe or lifecycle host (container "c" uses probe or lifecycle host "a.b")',
        ),
        (
            {"containers": [{**CONTAINER, "securityContext": {"procMount": "Unmasked"}}]},
            'procMount (container "c" must not set securityContext.procMount to "Unmasked")',
        ),
    ],
)
def test_baseline(spec: dict[str, Any], reason: str) -> None:
    """Each known way to escalate is told by its name and where it is."""
    assert refused(r.PODS, pod(**spec), restricted(enforce="baseline")).endswith(f'"baseline:latest": {reason}')


def test_warnings_follow_enforcement_and_audit_is_noted() -> None:
    """Without a label of its own `warn` is as strict as `enforce`; what `audit` finds is left for the audit log."""
    template = {"metadata": {"labels": {"a": "b"}}, **pod()}
    deployment = {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
    found = run(attributes(r.DEPLOYMENTS, deployment), restricted(enforce="restricted", audit="restricted"))
    assert found.warnings == [f'would violate PodSecurity "restricted:latest": {RESTRICTED}']
    assert found.request.audit_annotations == {
        "pod-security.kubernetes.io/audit-violations": found.warnings[0],
    }
    quiet = restricted(enforce="restricted", warn="privileged")
    assert run(attributes(r.DEPLOYMENTS, deployment), quiet).warnings == []
    let_in = run(attributes(r.PODS, pod()), restricted(enforce="baseline", warn="privileged"))
    assert let_in.request.audit_annotations == {"pod-security.kubernetes.io/enforce-policy": "baseline:latest"}


def test_older_versions_of_the_standards() -> None:
    """A pinned version knows only the checks of its time, and Windows pods are spared what they cannot have."""
    told = refused(r.PODS, pod(), restricted(enforce="restricted", enforce_version="v1.7"))
    assert told.endswith(
        '"restricted:v1.7": runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)'
    )
    windows = pod(os={"name": "windows"}, securityContext={"runAsNonRoot": True})
    admitted(r.PODS, windows, restricted(enforce="restricted"))
    sysctl = pod(securityContext={"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]})
    admitted(r.PODS, sysctl, restricted(enforce="baseline"))
    assert "forbidden sysctls" in refused(r.PODS, sysctl, restricted(enforce="baseline", enforce_version="v1.31"))


def test_a_namespace_becomes_stricter() -> None:
    """Whoever does that hears which pods would not be let in any more; making it laxer is silent."""
    pods = [(r.PODS, {"metadata": {"name": name}, **pod()}) for name in ("b", "a", "c")]
    pods.append((r.PODS, {"metadata": {"name": "host"}, **pod(hostNetwork=True)}))
    _, strict = restricted(enforce="restricted")
    _, lax = restricted(enforce="privileged")

    def update(new: dict[str, Any], old: dict[str, Any]) -> list[str]:
        return run(attributes(r.NAMESPACES, new, old=old, operation="UPDATE"), *pods).warnings

    common = "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile"
    assert update(strict, lax) == [
        'existing pods in namespace "default" violate the new PodSecurity enforce level "restricted:latest"',
        f"a (and 2 other pods): {common}",
        f"host: host namespaces, {common}",
    ]
    assert update(lax, strict) == []


def test_user_namespaces_and_old_annotations() -> None:
    """In a user namespace root may be root and /proc unmasked, but not for the restricted level; annotations count."""
    rootless = {k: v for k, v in HARDENED.items() if k != "runAsNonRoot"}
    spec = pod(hostUsers=False, containers=[{**CONTAINER, "securityContext": rootless}])
    admitted(r.PODS, spec, restricted(enforce="restricted"))
    assert "runAsNonRoot" in refused(r.PODS, spec, restricted(enforce="restricted", enforce_version="v1.34"))
    unmasked = pod(
        hostUsers=False, containers=[{**CONTAINER, "securityContext": {**HARDENED, "procMount": "Unmasked"}}]
    )
    admitted(r.PODS, unmasked, restricted(enforce="baseline"))
    assert "procMount" in refused(r.PODS, unmasked, restricted(enforce="restricted"))
    key = "container.apparmor.security.beta.kubernetes.io/c"
    old = {"metadata": {"annotations": {key: "unconfined"}}, **pod()}
    assert refused(r.PODS, old, restricted(enforce="baseline")).endswith(
        f'forbidden AppArmor profile ({key}="unconfined")'
    )
