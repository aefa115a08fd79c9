"""NodeRestriction: a kubelet's credentials are good for its own node and the pods on it, and for nothing else.

Only users `system:node:<name>` in the group system:nodes are looked at; for everybody else this is one comparison.
Upstream: plugin/pkg/admission/noderestriction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from minik8s.api.nodes import HOSTNAME, REGION, ZONE
from minik8s.api.request import ApiRequest
from minik8s.api.resources import NODES, PODS
from minik8s.api.staticpods import MIRROR, is_mirror
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, evolve, labels_of, uid_of

USER_PREFIX = "system:node:"
GROUP = "system:nodes"
LEASE_NAMESPACE = "kube-node-lease"
_RESTRICTED = "node-restriction.kubernetes.io"
_KUBELET_LABELS = frozenset(
    {
        HOSTNAME,
        ZONE,
        REGION,
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "node.kubernetes.io/instance-type",
        "beta.kubernetes.io/instance-type",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "node.kubernetes.io/windows-build",
    }
)
_KUBELET_NAMESPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_CLAIM_STATUS = ("capacity", "conditions", "allocatedResources", "allocatedResourceStatuses")


class NodeRestriction(AdmissionPlugin):
    """See the module."""

    name: ClassVar[str] = "NodeRestriction"
    stands_on: ClassVar[Collection[str]] = ()

    def must_see(self, request: ApiRequest, body: Doc) -> bool:
        return request.user.name.startswith(USER_PREFIX) and request.resource.group_resource in _CHECKS

    def admit(self, attributes: Attributes, world: World) -> None:
        user = attributes.request.user
        if not user.name.startswith(USER_PREFIX) or GROUP not in user.groups or attributes.operation == "CONNECT":
            return
        node = user.name.removeprefix(USER_PREFIX)
        if not node:
            raise attributes.forbidden(f'could not determine node from user "{user.name}"')
        check = _CHECKS.get(attributes.request.resource.group_resource)
        if check is not None:
            check(node, attributes, world)


def _pod(node: str, attributes: Attributes, world: World) -> None:
    match attributes.request.subresource:
        case "":
            _pod_itself(node, attributes, world)
        case "status":
            _pod_status(node, attributes)
        case "eviction":
            pod = _existing_pod(attributes, world, attributes.name)
            if pod["spec"].get("nodeName") != node:
                raise attributes.forbidden(f"node {node} can only evict pods with spec.nodeName set to itself")
        case other:
            raise attributes.forbidden(
                f"unexpected pod subresource \"{other}\", only 'status' and 'eviction' are allowed"
            )


def _existing_pod(attributes: Attributes, world: World, name: str) -> Doc:
    pod = world.get(PODS, name, attributes.namespace)
    if pod is None:
        raise NotFound.object("pods", "", name)
    return pod


def _pod_itself(node: str, attributes: Attributes, world: World) -> None:
    new, old = attributes.object, attributes.old
    if attributes.operation == "DELETE" and old is not None:
        if old["spec"].get("nodeName") != node:
            raise attributes.forbidden(f'node "{node}" can only delete pods with spec.nodeName set to itself')
    elif attributes.operation == "CREATE" and new is not None:
        if why := _mirror_problem(node, new) or _stranger(node, new, world):
            raise attributes.forbidden(why)
    else:
        operation = attributes.operation
        raise attributes.forbidden(
            f'unexpected operation "{operation}", node "{node}" can only create and delete mirror pods'
        )


def _mirror_problem(node: str, pod: Doc) -> str:
    """What a node may not create; mirror pods of its own, which refer to nothing, are all it may."""
    if not is_mirror(pod):
        return f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
    spec = pod["spec"]
    if spec.get("nodeName") != node:
        return f'node "{node}" can only create pods with spec.nodeName set to itself'
    if why := _owner_problem(node, pod["metadata"].get("ownerReferences") or []):
        return why
    if spec.get("serviceAccountName"):
        return f'node "{node}" can not create pods that reference a service account'
    found = {key for volume in spec.get("volumes") or () for key in _referenced(volume)} | set(of_containers(spec))
    for key, what in (
        ("secret", "secrets"),
        ("configMap", "configmaps"),
        ("clusterTrustBundle", "clustertrustbundles"),
        ("persistentVolumeClaim", "persistentvolumeclaims"),
    ):
        if key in found:
            return f'node "{node}" can not create pods that reference {what}'
    return ""


def _stranger(node: str, pod: Doc, world: World) -> str:
    """Whether the owner is a node of that name that is not there any more."""
    found = world.get(NODES, node)
    if found is None:
        raise NotFound.object("nodes", "", node)
    given = pod["metadata"]["ownerReferences"][0].get("uid", "")
    return "" if given == uid_of(found) else f"node {node} UID mismatch: expected {given} got {uid_of(found)}"


def _owner_problem(node: str, owners: list[Mapping[str, Any]]) -> str:
    if len(owners) > 1:
        return f'node "{node}" can only create pods with a single owner reference set to itself'
    owner = owners[0] if owners else {}
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
        return f'node "{node}" can only create pods with an owner reference set to itself'
    if not owner.get("controller"):
        return f'node "{node}" can only create pods with a controller owner reference set to itself'
    if owner.get("blockOwnerDeletion"):
        return f'node "{node}" must not set blockOwnerDeletion on an owner reference'
    return ""


def _referenced(volume: Mapping[str, Any]) -> set[str]:
    kinds = set(volume)
    for source in (volume.get("projected") or {}).get("sources") or ():
        kinds |= set(source)
    return kinds


def of_containers(spec: Mapping[str, Any]) -> set[str]:
    """secret and configMap, where containers' environments take from some."""
    kinds = {"secret"} if spec.get("imagePullSecrets") else set()
    for name in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(name) or ():
            for source in container.get("envFrom") or ():
                kinds |= {"secret"} if "secretRef" in source else {"configMap"}
            for variable in container.get("env") or ():
                kinds |= {key.removesuffix("KeyRef") for key in variable.get("valueFrom") or () if "Key" in key}
    return kinds


def _pod_status(node: str, attributes: Attributes) -> None:
    new, old = attributes.object, attributes.old
    if attributes.operation != "UPDATE" or new is None or old is None:
        raise attributes.forbidden(f'unexpected operation "{attributes.operation}"')
    if old["spec"].get("nodeName") != node:
        raise attributes.forbidden(
            f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'
        )
    if labels_of(new) != labels_of(old):
        raise attributes.forbidden(f'node "{node}" cannot update labels through pod status')
    claims = [(obj.get("status") or {}).get("resourceClaimStatuses") or [] for obj in (new, old)]
    if claims[0] != claims[1]:
        raise attributes.forbidden(f'node "{node}" cannot update resource claim statues')


def _node(node: str, attributes: Attributes, world: World) -> None:
    new, old = attributes.object, attributes.old
    name = attributes.request.name or attributes.name
    if name != node:
        raise attributes.forbidden(f'node "{node}" is not allowed to modify node "{name}"')
    if new is None:
        return
    wrong = _forbidden_labels(labels_of(new), labels_of(old) if old is not None else {})
    if old is None:
        if wrong:
            listed = ", ".join(wrong)
            raise attributes.forbidden(f'node "{node}" is not allowed to set the following labels: {listed}')
        return
    if (new["spec"].get("taints") or []) != (old["spec"].get("taints") or []):
        raise attributes.forbidden(f'node "{node}" is not allowed to modify taints')
    if wrong:
        raise attributes.forbidden(f"is not allowed to modify labels: {', '.join(wrong)}")


def _forbidden_labels(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    changed = {key for key in {*new, *old} if new.get(key) != old.get(key)}
    return sorted(key for key in changed if _is_forbidden(key))


def _is_forbidden(key: str) -> bool:
    home, slash, _ = key.rpartition("/")
    if not slash:
        return False
    if home == _RESTRICTED or home.endswith("." + _RESTRICTED):
        return True
    if not any(home == domain or home.endswith("." + domain) for domain in ("kubernetes.io", "k8s.io")):
        return False
    own = any(home == domain or home.endswith("." + domain) for domain in _KUBELET_NAMESPACES)
    return key not in _KUBELET_LABELS and not own


def _claim(node: str, attributes: Attributes, world: World) -> None:
    new, old = attributes.object, attributes.old
    if attributes.request.subresource != "status" or new is None or old is None:
        raise attributes.forbidden("may only update PVC status")
    if _without_growth(new) != _without_growth(old):
        why = "is not allowed to update fields other than status.capacity and status.conditions"
        raise attributes.forbidden(f'node "{node}" {why}')


def _without_growth(claim: Doc) -> Doc:
    status = {key: value for key, value in (claim.get("status") or {}).items() if key not in _CLAIM_STATUS}
    metadata = {k: v for k, v in claim["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    plain: Doc = evolve(evolve(claim, "status", value=status), "metadata", value=metadata)
    return plain


def _service_account(node: str, attributes: Attributes, world: World) -> None:
    if attributes.operation != "CREATE" or attributes.request.subresource != "token" or attributes.object is None:
        return
    reference = (attributes.object.get("spec") or {}).get("boundObjectRef") or {}
    if (reference.get("apiVersion"), reference.get("kind")) != ("v1", "Pod") or not reference.get("name"):
        raise attributes.forbidden("node requested token not bound to a pod")
    if not reference.get("uid"):
        raise attributes.forbidden("node requested token with a pod binding without a uid")
    pod = _existing_pod(attributes, world, reference["name"])
    if reference["uid"] != uid_of(pod):
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
        raise attributes.forbidden(why + "The object might have been deleted and then recreated")
    if pod["spec"].get("nodeName") != node:
        raise attributes.forbidden("node requested token bound to a pod scheduled on a different node")


def _lease(node: str, attributes: Attributes, world: World) -> None:
    if attributes.namespace != LEASE_NAMESPACE:
        raise attributes.forbidden(f'can only access leases in the "{LEASE_NAMESPACE}" system namespace')
    if attributes.name != node:
        raise attributes.forbidden("can only access node lease with the same name as the requesting node")


def _csi_node(node: str, attributes: Attributes, world: World) -> None:
    if attributes.name != node:
        raise attributes.forbidden("can only access CSINode with the same name as the requesting node")


_CHECKS: Mapping[str, Callable[[str, Attributes, World], None]] = {
    "pods": _pod,
    "nodes": _node,
    "persistentvolumeclaims": _claim,
    "serviceaccounts": _service_account,
    "leases.coordination.k8s.io": _lease,
    "csinodes.storage.k8s.io": _csi_node,
}
