"""Claims and volumes: which claims a pod uses, and which volume suits a claim. Pure.

The binder decides by these rules, the scheduler predicts with them, protection and kubelet ask who uses what, so they
stand here, below all four. Upstream: `component-helpers/storage/volume`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from minik8s.api.scheduling import NodeSelectorTerm
from minik8s.machinery.meta import Doc, annotations_of, is_terminating, labels_of, name_of, namespace_of, uid_of
from minik8s.machinery.quantity import ZERO, Quantity, parse_quantity
from minik8s.machinery.selectors import LabelSelector

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
STORAGE_PROVISIONER_BETA = "volume.beta.kubernetes.io/storage-provisioner"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
"""The provisioner of classes whose volumes somebody makes by hand."""
_CLASS_BETA = "volume.beta.kubernetes.io/storage-class"

ClaimKey = tuple[str, str]
"""(namespace, name)."""


def claims_of(pod: Doc) -> Iterator[ClaimKey]:
    """The claims that a pod's volumes name; that of a generic ephemeral volume is named after pod and volume."""
    for volume in pod["spec"].get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            yield namespace_of(pod), claim["claimName"]
        elif "ephemeral" in volume:
            yield namespace_of(pod), ephemeral_claim(pod, volume)


def ephemeral_claim(pod: Doc, volume: Doc) -> str:
    """The name of the claim behind a generic ephemeral volume."""
    return f"{name_of(pod)}-{volume['name']}"


def class_of(obj: Doc) -> str:
    """The StorageClass of a claim or volume, "" for none; the old annotation still counts."""
    return annotations_of(obj).get(_CLASS_BETA) or obj["spec"].get("storageClassName") or ""


def is_delayed(storage_class: Doc | None) -> bool:
    """Whether claims of the class wait for the first pod that uses them."""
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def is_bound(claim: Doc) -> bool:
    """Whether a claim and its volume have both been told of each other."""
    return bool(claim["spec"].get("volumeName")) and BIND_COMPLETED in annotations_of(claim)


def is_for(volume: Doc, claim: Doc) -> bool:
    """Whether a volume's claimRef means this claim: by name, and by uid where it has one."""
    reference = volume["spec"].get("claimRef") or {}
    same = (reference.get("namespace"), reference.get("name")) == (namespace_of(claim), name_of(claim))
    return same and reference.get("uid", "") in ("", uid_of(claim))


def claim_reference(claim: Doc) -> dict[str, str]:
    """The claimRef that binds a volume to the claim."""
    return {
        "kind": "PersistentVolumeClaim",
        "namespace": namespace_of(claim),
        "name": name_of(claim),
        "uid": uid_of(claim),
        "apiVersion": "v1",
        "resourceVersion": claim["metadata"]["resourceVersion"],
    }


def requested(claim: Doc) -> Quantity:
    """How much storage a claim asks for."""
    text = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage")
    return ZERO if text is None else parse_quantity(text)


def capacity(volume: Doc) -> Quantity:
    """How much storage a volume has."""
    text = (volume["spec"].get("capacity") or {}).get("storage")
    return ZERO if text is None else parse_quantity(text)


def reaches(volume: Doc, node: str, labels: Mapping[str, str]) -> bool:
    """Whether the volume can be used on the node of that name and those labels."""
    wanted = (volume["spec"].get("nodeAffinity") or {}).get("required")
    if wanted is None:
        return True
    return any(NodeSelectorTerm.of(term).matches(node, labels) for term in wanted.get("nodeSelectorTerms") or ())


def admits(storage_class: Doc, labels: Mapping[str, str]) -> bool:
    """Whether the class's allowedTopologies include a node with these labels."""
    terms = storage_class.get("allowedTopologies") or ()
    return not terms or any(_meets(term, labels) for term in terms)


def _meets(term: Doc, labels: Mapping[str, str]) -> bool:
    return all(labels.get(r["key"]) in r["values"] for r in term.get("matchLabelExpressions") or ())


def suits(volume: Doc, claim: Doc) -> bool:
    """Whether an unclaimed volume is one that the claim may have, whatever its size."""
    spec, wanted = volume["spec"], claim["spec"]
    if (volume.get("status") or {}).get("phase", "Available") != "Available" or is_terminating(volume):
        return False
    if (spec.get("volumeMode") or "Filesystem") != (wanted.get("volumeMode") or "Filesystem"):
        return False
    if class_of(volume) != class_of(claim):
        return False
    if (spec.get("volumeAttributesClassName") or "") != (wanted.get("volumeAttributesClassName") or ""):
        return False
    if not set(wanted.get("accessModes") or ()) <= set(spec.get("accessModes") or ()):
        return False
    selector = wanted.get("selector")
    return selector is None or LabelSelector.from_object(selector).matches(labels_of(volume))


def best_volume(claim: Doc, volumes: Iterable[Doc], *, node: tuple[str, Mapping[str, str]] | None = None) -> Doc | None:
    """The volume to bind to a claim: one made for it, else the smallest that is large enough.

    `node` is (name, labels) of the node that it has to reach, None when that is no matter yet.
    """
    smallest: Doc | None = None
    for volume in volumes:
        if node is not None and not reaches(volume, *node):
            continue
        if volume["spec"].get("claimRef"):
            if is_for(volume, claim) and capacity(volume) >= requested(claim) and not is_terminating(volume):
                return volume
            continue
        if capacity(volume) < requested(claim) or not suits(volume, claim):
            continue
        if smallest is None or capacity(volume) < capacity(smallest):
            smallest = volume
    return smallest
