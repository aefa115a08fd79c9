"""What an update may not change, and what it keeps without being told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource
from minik8s.api.strategies import strategy_for
from minik8s.machinery.meta import copy_document

CONTAINER: dict[str, Any] = {"name": "c", "image": "busybox"}
POD_UNCHANGEABLE = (
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
IMMUTABLE = "field is immutable"
SEALED = "Forbidden: field is immutable when `immutable` is set"


def pod(**spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [CONTAINER], **spec}}


def workload(**spec: Any) -> dict[str, Any]:
    labels = {"matchLabels": {"a": "b"}}
    template = {"metadata": {"labels": {"a": "b", "c": "d"}}, "spec": {"containers": [CONTAINER]}}
    return {"spec": {"selector": labels, "template": template, **spec}}


OTHER_SELECTOR = {"selector": {"matchLabels": {"c": "d"}}}
GATED = {"schedulingGates": [{"name": "example.com/a"}]}

CASES: list[tuple[Resource[Any], dict[str, Any], dict[str, Any], list[str]]] = [
    (r.PODS, pod(), pod(containers=[{**CONTAINER, "image": "other"}]), []),
    (r.PODS, pod(), pod(containers=[{**CONTAINER, "command": ["x"]}]), [POD_UNCHANGEABLE]),
    (r.PODS, pod(), pod(nodeName="n"), [POD_UNCHANGEABLE]),
    (
        r.PODS,
        pod(),
        pod(containers=[CONTAINER, {"name": "d", "image": "x"}]),
        ["spec.containers: Forbidden: pod updates may not add or remove containers"],
    ),
    (r.PODS, pod(), pod(tolerations=[{"key": "k", "operator": "Exists"}]), []),
    (
        r.PODS,
        pod(tolerations=[{"key": "k", "operator": "Exists"}]),
        pod(),
        ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
    ),
    (r.PODS, pod(), pod(activeDeadlineSeconds=5), []),
    (
        r.PODS,
        pod(activeDeadlineSeconds=5),
        pod(activeDeadlineSeconds=6),
        ["spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"],
    ),
    (r.PODS, pod(terminationGracePeriodSeconds=-1), pod(terminationGracePeriodSeconds=1), []),
    (r.PODS, pod(**GATED), pod(nodeSelector={"a": "b"}), []),
    (
        r.PODS,
        pod(),
        pod(**GATED),
        [
            "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate "
            "'example.com/a'"
        ],
    ),
    (r.CONFIG_MAPS, {"data": {"a": "1"}}, {"data": {"a": "2"}}, []),
    (
        r.CONFIG_MAPS,
        {"data": {"a": "1"}, "immutable": True},
        {"data": {"a": "2"}, "immutable": True},
        [f"data: {SEALED}"],
    ),
    (r.CONFIG_MAPS, {"immutable": True}, {}, [f"immutable: {SEALED}"]),
    (r.SECRETS, {"type": "foo"}, {"type": "bar"}, [f'type: Invalid value: "bar": {IMMUTABLE}']),
    *(
        (
            resource,
            workload(),
            workload(**OTHER_SELECTOR),
            [f'spec.selector: Invalid value: {{"matchLabels":{{"c":"d"}}}}: {IMMUTABLE}'],
        )
        for resource in (r.REPLICA_SETS, r.DEPLOYMENTS, r.DAEMON_SETS)
    ),
    (r.STATEFUL_SETS, workload(), workload(replicas=5, minReadySeconds=1), []),
    (
        r.STATEFUL_SETS,
        workload(),
        workload(serviceName="s"),
        [
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
            "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' "
            "are forbidden"
        ],
    ),
    (
        r.NODES,
        {"spec": {"podCIDRs": ["10.0.0.0/24"]}},
        {"spec": {"podCIDRs": ["10.0.1.0/24"]}},
        ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'],
    ),
    (
        r.ROLE_BINDINGS,
        {"roleRef": {"kind": "Role", "name": "a"}},
        {"roleRef": {"kind": "Role", "name": "b"}},
        [
            'roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Role","Name":"b"}: cannot change '
            "roleRef"
        ],
    ),
    (
        r.PRIORITY_CLASSES,
        {"value": 1},
        {"value": 2},
        ["value: Forbidden: may not be changed in an update."],
    ),
    (
        r.SERVICES,
        {"spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]}},
        {"spec": {"clusterIP": "10.0.0.2", "ports": [{"port": 80}]}},
        ['spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set'],
    ),
    (
        r.PERSISTENT_VOLUME_CLAIMS,
        {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
        {"spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}},
        [
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName "
            "for bound claims"
        ],
    ),
]


@pytest.mark.parametrize(
    ("resource", "before", "after", "expected"), CASES, ids=[f"{c[0].kind}-{i}" for i, c in enumerate(CASES)]
)
def test_texts(
    change_errors: Callable[..., list[str]],
    resource: Resource[Any],
    before: dict[str, Any],
    after: dict[str, Any],
    expected: list[str],
) -> None:
    """A forbidden change is refused in upstream's words, an allowed one goes through."""
    assert change_errors(resource, before, after) == expected


def updated(make: Any, resource: Resource[Any], old: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """An update that sends only these fields of the spec."""
    new = make(resource, {"spec": spec})
    for key in ("clusterIP", "clusterIPs"):
        if key not in spec:
            new["spec"].pop(key, None)
    strategy_for(resource).prepare_update(new, old)
    return new["spec"]  # type: ignore[no-any-return]


def test_services_keep_what_was_allocated(make: Any) -> None:
    """Addresses and node ports that an update leaves out stay; those of a type that is given up go."""
    ports = [{"port": 80}]
    old = make(r.SERVICES, {"spec": {"type": "NodePort", "ports": ports}})
    old["spec"] |= {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}
    old["spec"]["ports"][0]["nodePort"] = 30001
    kept = copy_document(old)

    same = updated(make, r.SERVICES, old, type="NodePort", ports=ports)
    assert (same["clusterIP"], same["ports"][0]["nodePort"]) == ("10.0.0.1", 30001)
    narrower = updated(make, r.SERVICES, old, type="ClusterIP", ports=[{"port": 80, "nodePort": 30001}])
    assert "nodePort" not in narrower["ports"][0]
    assert "externalTrafficPolicy" not in narrower
    elsewhere = updated(make, r.SERVICES, old, type="ExternalName", externalName="a.b")
    assert "clusterIP" not in elsewhere
    assert old == kept


def test_a_template_change_counts_for_daemons(make: Any) -> None:
    """The deprecated template generation of a DaemonSet grows with its template and with nothing else."""
    key = "deprecated.daemonset.template.generation"
    strategy, old = strategy_for(r.DAEMON_SETS), make(r.DAEMON_SETS, workload())
    slower = make(r.DAEMON_SETS, workload(minReadySeconds=5))
    strategy.prepare_update(slower, old)
    assert slower["metadata"]["annotations"][key] == "1"
    template = {**workload()["spec"]["template"], "spec": {"containers": [{**CONTAINER, "image": "new"}]}}
    newer = make(r.DAEMON_SETS, workload(template=template))
    strategy.prepare_update(newer, old)
    assert newer["metadata"]["annotations"][key] == "2"


def _rule(action: str) -> dict[str, Any]:
    return {"action": action, "exitCodes": {"operator": "In", "values": [42]}}


def test_status_of_a_pod(make: Any) -> None:
    """A kubelet cannot change the service class, nor make an ended container undone."""
    old = make(r.PODS, pod(restartPolicy="Never"))
    old["status"]["containerStatuses"] = [{"name": "c", "state": {"terminated": {"exitCode": 0}}}]
    new = copy_document(old)
    new["status"] = {"containerStatuses": [{"name": "c", "state": {"running": {}}}]}
    strategy = strategy_for(r.PODS)
    strategy.prepare_status_update(new, old)
    assert new["status"]["qosClass"] == "BestEffort"
    assert [(e.field, e.message) for e in strategy.validate_status_update(new, old)] == [
        ("status.containerStatuses[0].state", "Forbidden: may not be transitioned to non-terminated state")
    ]


@pytest.mark.parametrize(
    ("policy", "container", "exit_code", "allowed"),
    [
        ("Never", {}, 42, False),
        ("Never", {"restartPolicy": "Always"}, 42, True),
        ("Always", {"restartPolicy": "Never"}, 42, False),
        ("Never", {"restartPolicy": "Never", "restartPolicyRules": [_rule("Restart")]}, 42, True),
        ("Never", {"restartPolicy": "Never", "restartPolicyRules": [_rule("Restart")]}, 1, False),
        ("Never", {"restartPolicy": "Never", "restartPolicyRules": [_rule("RestartAllContainers")]}, 1, True),
        ("OnFailure", {}, 0, False),
        ("OnFailure", {}, 1, True),
    ],
)
def test_who_may_come_to_life(make: Any, policy: str, container: dict[str, Any], exit_code: int, allowed: bool) -> None:
    """A kubelet may report what rules, the container's policy and the pod's, in this order, have it do."""
    old = make(r.PODS, pod(restartPolicy=policy, containers=[{**CONTAINER, **container}]))
    old["status"]["containerStatuses"] = [{"name": "c", "state": {"terminated": {"exitCode": exit_code}}}]
    new = copy_document(old)
    new["status"]["containerStatuses"] = [{"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
    assert (not list(strategy_for(r.PODS).validate_status_update(new, old))) is allowed


def test_when_a_pod_can_go_at_once(make: Any) -> None:
    """A pod without a node, or whose containers have ended, waits for nobody."""
    strategy = strategy_for(r.PODS)
    running = make(r.PODS, pod(nodeName="n"))
    assert strategy.deletable_at_once(make(r.PODS, pod()), 30)
    assert not strategy.deletable_at_once(running, 30)
    running["status"]["phase"] = "Failed"
    assert strategy.deletable_at_once(running, 30)
    assert strategy.grace_period(running) == 30
