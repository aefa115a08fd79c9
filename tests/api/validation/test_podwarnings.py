"""Warnings about pods and workloads: each in upstream's words, and none for an ordinary one."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resources import DEPLOYMENTS, PODS
from minik8s.api.strategies import strategy_for
from tests.api.conftest import made
from tests.api.validation.test_podspec import CONTAINER, container, pod, volume

C = "spec.containers[0]"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
ZONE = "failure-domain.beta.kubernetes.io/zone"
USE_ZONE = 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
NULL = "a null labelSelector results in matching no pod"


def annotated(key: str) -> dict[str, Any]:
    return {**pod(), "metadata": {"name": "v", "annotations": {key: "x"}}}


def ports(*listed: dict[str, Any]) -> dict[str, Any]:
    return container(ports=list(listed))


CASES: list[tuple[dict[str, Any], list[str]]] = [
    (pod(), []),
    (pod(nodeSelector={ZONE: "a"}), [f"spec.nodeSelector[{ZONE}]: {USE_ZONE}"]),
    (pod(affinity={"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": ZONE, "operator": "Exists"}]}
    ]}}}), [
        f"spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0].key: {ZONE} is {USE_ZONE}"
    ]),
    (pod(affinity={"podAntiAffinity": {REQUIRED: [{"topologyKey": "k"}]}}),
     [f"spec.affinity.podAntiAffinity.{REQUIRED}[0].labelSelector: {NULL}"]),
    (pod(topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "ScheduleAnyway"}]), [
        f"spec.topologySpreadConstraints[0].topologyKey: {ZONE} is {USE_ZONE}",
        f"spec.topologySpreadConstraints[0].labelSelector: {NULL}",
    ]),
    (annotated("scheduler.alpha.kubernetes.io/critical-pod"), [
        "metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "
        '"priorityClassName" field instead'
    ]),
    (annotated("container.apparmor.security.beta.kubernetes.io/c"), [
        "metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: deprecated since v1.30; use the "
        '"appArmorProfile" field instead'
    ]),
    (volume(gitRepo={"repository": "r"}),
     ["spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"]),
    (pod(hostAliases=[{"ip": "1.2.3.4"}, {"ip": "1.2.3.4"}]), ['spec.hostAliases[1].ip: duplicate ip "1.2.3.4"']),
    (pod(imagePullSecrets=[{"name": ""}, {"name": "a"}, {"name": "a"}]), [
        'spec.imagePullSecrets[0]: invalid empty name ""', 'spec.imagePullSecrets[2].name: duplicate name "a"',
    ]),
    (container(resources={"requests": {"memory": "100m", "cpu": "100m"}}),
     [f'{C}.resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer']),
    (container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "A", "value": "$(A)3"}]),
     [f'{C}.env[1]: hides previous definition of "A", which may be dropped when using apply']),
    (ports({"containerPort": 80}, {"containerPort": 80}),
     [f"{C}.ports[1]: duplicate port definition with {C}.ports[0]"]),
    (ports({"containerPort": 80}, {"containerPort": 80, "hostPort": 80}),
     [f"{C}.ports[1]: overlapping port definition with {C}.ports[0]"]),
    (ports({"containerPort": 80, "hostPort": 80}, {"containerPort": 80, "hostPort": 81}), []),
    (ports({"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}), []),
    (pod(containers=[
        {**CONTAINER, "ports": [{"containerPort": 80, "name": "http"}]},
        {**CONTAINER, "name": "d", "ports": [{"containerPort": 81, "name": "http"}]},
    ]), [
        f'spec.containers[1].ports[0]: duplicate port name "http" with {C}.ports[0], services and probes that select '
        f"ports by name will use {C}.ports[0]"
    ]),
    (pod(terminationGracePeriodSeconds=-1), [
        "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("doc", "expected"), CASES, ids=range(len(CASES)))
def test_pods(doc: dict[str, Any], expected: list[str]) -> None:
    """A new pod is told what was probably not meant; an updated one nothing."""
    strategy, obj = strategy_for(PODS), made(PODS, doc)
    assert strategy.warnings(obj, None) == expected
    assert strategy.warnings(obj, obj) == []


def test_workloads() -> None:
    """A Deployment's template is looked at when its spec is new, its name once."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER], "nodeSelector": {ZONE: "a"}}}
    doc = {"metadata": {"name": "a.b"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
    strategy, obj = strategy_for(DEPLOYMENTS), made(DEPLOYMENTS, doc)
    obj["metadata"]["generation"] = 1
    about_template = f"spec.template.spec.nodeSelector[{ZONE}]: {USE_ZONE}"
    assert strategy.warnings(obj, None) == [
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label "
        "is recommended: [must not contain dots]",
        about_template,
    ]
    assert strategy.warnings(obj, obj) == []
    newer = {**obj, "metadata": {**obj["metadata"], "generation": 2}}
    assert strategy.warnings(newer, obj) == [about_template]
