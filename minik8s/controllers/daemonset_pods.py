"""The pods of a DaemonSet: on which nodes they belong, what they look like, which node one is for.

Pure. Upstream: `pkg/controller/daemon/util/daemonset_util.go` and `daemon_controller.go` (NodeShouldRunDaemonPod).
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from minik8s.api.scheduling import HARD_EFFECTS, RequiredNodeAffinity, untolerated
from minik8s.controllers.history import REVISION_HASH
from minik8s.controllers.podcontrol import pod_from_template
from minik8s.machinery.meta import Doc, Obj, annotations_of, labels_of, name_of

TEMPLATE_GENERATION = "pod-template-generation"
_GENERATION_ANNOTATION = "deprecated.daemonset.template.generation"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_TOLERATED_ON_HOST = (("node.kubernetes.io/network-unavailable", "NoSchedule"),)


@attrs.frozen
class Placement:
    """Whether a node shall get a pod, and whether one that it has may stay."""

    run: bool
    stay: bool


NOWHERE = Placement(run=False, stay=False)


def placement(ds: Doc, node: Doc) -> Placement:
    """By node name, selector, affinity and taints; resources do not matter. Only NoExecute taints drive pods away."""
    spec = with_tolerations(ds["spec"]["template"].get("spec") or {})
    name = name_of(node)
    if spec.get("nodeName") not in (None, "", name):
        return NOWHERE
    if not RequiredNodeAffinity.of(spec).matches(name, labels_of(node)):
        return NOWHERE
    taints = (node.get("spec") or {}).get("taints") or ()
    if untolerated(taints, spec["tolerations"], HARD_EFFECTS) is None:
        return Placement(True, True)
    return Placement(False, untolerated(taints, spec["tolerations"], ("NoExecute",)) is None)


def with_tolerations(spec: Doc) -> Obj:
    """A pod spec that bears what happens to nodes, because daemons do not leave them for it."""
    tolerations = list(spec.get("tolerations") or ())
    for key, effect in (*_TOLERATED, *(_TOLERATED_ON_HOST if spec.get("hostNetwork") else ())):
        added = {"key": key, "operator": "Exists", "effect": effect}
        if added not in tolerations:
            tolerations.append(added)
    return {**spec, "tolerations": tolerations}


def template_generation(ds: Doc) -> str:
    return annotations_of(ds).get(_GENERATION_ANNOTATION, "")


def new_pod(ds: Doc, node: str, digest: str) -> Obj:
    """A pod that only this node fits: the scheduler binds it there."""
    pod = pod_from_template(ds["spec"]["template"], ds, f"{name_of(ds)}-")
    labels = {**pod["metadata"].get("labels", {}), REVISION_HASH: digest}
    if generation := template_generation(ds):
        labels[TEMPLATE_GENERATION] = generation
    spec = with_tolerations(pod["spec"])
    affinity = dict(spec.get("affinity") or {})
    only = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity["nodeAffinity"] = {**(affinity.get("nodeAffinity") or {}), _REQUIRED: {"nodeSelectorTerms": [only]}}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}, "spec": {**spec, "affinity": affinity}}


def node_of(pod: Doc) -> str:
    """The node that a pod runs on, or is meant for; "" for one that is meant for none."""
    if bound := pod["spec"].get("nodeName"):
        return str(bound)
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    for term in (affinity.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == "metadata.name" and field["operator"] == "In" and len(field["values"]) == 1:
                return str(field["values"][0])
    return ""


def is_updated(ds: Doc, pod: Doc, digest: str) -> bool:
    """Whether the pod is of the DaemonSet's present template."""
    labels, generation = labels_of(pod), template_generation(ds)
    return labels.get(REVISION_HASH) == digest or bool(generation and labels.get(TEMPLATE_GENERATION) == generation)


def oldest_first(pods: Iterable[Doc]) -> list[Doc]:
    """Bound pods before unbound ones, then by age."""
    return sorted(
        pods,
        key=lambda p: (not p["spec"].get("nodeName"), p["metadata"].get("creationTimestamp", ""), name_of(p)),
    )
