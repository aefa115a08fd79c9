"""The node authorizer: a kubelet reads what the pods on its node need, and writes what is about its node.

It speaks for users `system:node:<name>` in the group system:nodes; everybody else is asked of the next authorizer at
once, and so is what it does not allow. Upstream: plugin/pkg/auth/authorizer/node. Which pods are on a node is read off
the store's index when the question comes, instead of keeping a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from minik8s.api.certificates import NODE_PREFIX, NODES_GROUP
from minik8s.api.podreferences import config_maps_of, secrets_of
from minik8s.api.rbac import allows_path, allows_resource
from minik8s.api.request import User
from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS, RESOURCE_SLICES, VOLUME_ATTACHMENTS
from minik8s.api.volumes import claims_of
from minik8s.apiserver.authorization.authorizer import AccessAttributes, Authorizer, Decision, RuleSet
from minik8s.apiserver.authorization.bootstrap import rules_of_role
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import Doc, namespace_of
from minik8s.machinery.selectors import FieldSelector
from minik8s.store.protocol import Store

LEASES = "kube-node-lease"
_READ = ("get", "list", "watch")
_ALLOWED = Decision(True)

Check = Callable[["NodeAuthorizer", str, AccessAttributes], str | None]
"""Says why not ("" without a reason); None allows."""


class NodeAuthorizer:
    """An `Authorizer` before another."""

    def __init__(self, store: Store, following: Authorizer) -> None:
        self._store = store
        self._following = following

    def authorize(self, attributes: AccessAttributes) -> Decision:
        node = _node_of(attributes.user)
        if not node:
            return self._following.authorize(attributes)
        refusal = self._refusal(node, attributes)
        if refusal is None:
            return _ALLOWED
        decision = self._following.authorize(attributes)
        if decision.allowed:
            return decision
        return Decision(False, "\n".join(reason for reason in (refusal, decision.reason) if reason))

    def rules_for(self, user: User, namespace: str) -> RuleSet:
        found = self._following.rules_for(user, namespace)
        if not _node_of(user):
            return found
        errors = [error for error in (found.error, "node authorizer does not support user rule resolution") if error]
        return RuleSet(found.rules, ", ".join(errors))

    def _refusal(self, node: str, attributes: AccessAttributes) -> str | None:
        a = attributes
        if a.is_resource and (check := _CHECKS.get((a.group, a.resource))) is not None:
            return check(self, node, a)
        for rule in rules_of_role("system:node"):
            if a.is_resource and allows_resource(rule, a.verb, a.group, a.resource, a.subresource):
                return None
            if not a.is_resource and allows_path(rule, a.verb, a.path):
                return None
        return ""

    def pods(self, node: str) -> Iterator[Doc]:
        """The pods on a node."""
        for entry in self._store.scan((PODS.group_resource,), term=("spec.nodeName", node)):
            yield entry.value

    def uses_volume(self, node: str, name: str) -> bool:
        for pod in self.pods(node):
            for namespace, claim in claims_of(pod):
                entry = self._store.peek((PERSISTENT_VOLUME_CLAIMS.group_resource, namespace, claim))
                if entry is not None and entry.value["spec"].get("volumeName") == name:
                    return True
        return False

    def attachment(self, name: str) -> Doc | None:
        entry = self._store.peek((VOLUME_ATTACHMENTS.group_resource, "", name))
        return entry.value if entry else None

    def slice(self, name: str) -> Doc | None:
        entry = self._store.peek((RESOURCE_SLICES.group_resource, "", name))
        return entry.value if entry else None


def _node_of(user: User) -> str:
    if not user.name.startswith(NODE_PREFIX) or NODES_GROUP not in user.groups:
        return ""
    return user.name.removeprefix(NODE_PREFIX)


def _unrelated(node: str) -> str:
    return f"no relationship found between node '{node}' and this object"


def _referenced(names: Callable[[Doc], set[str]]) -> Check:
    """Objects of a namespace that are read by name, if a pod on the node mentions them."""

    def check(self: NodeAuthorizer, node: str, a: AccessAttributes) -> str | None:
        if a.verb not in _READ:
            return "can only read resources of this type"
        if a.subresource:
            return "cannot read subresource"
        if not a.namespace:
            return "can only read namespaced object of this type"
        if not a.name:
            return "No Object name found"
        related = any(namespace_of(pod) == a.namespace and a.name in names(pod) for pod in self.pods(node))
        return None if related else _unrelated(node)

    return check


def _claim(self: NodeAuthorizer, node: str, a: AccessAttributes) -> str | None:
    allowed = ("get", "update", "patch") if a.subresource == "status" else ("get",)
    if a.subresource not in ("", "status") or a.verb not in allowed:
        return (
            f"can only {'update or patch the status of' if a.subresource else 'get'} individual resources of this type"
        )
    if not a.name:
        return "No Object name found"
    related = any((a.namespace, a.name) in set(claims_of(pod)) for pod in self.pods(node))
    return None if related else _unrelated(node)


def _volume(self: NodeAuthorizer, node: str, a: AccessAttributes) -> str | None:
    if a.verb != "get" or a.subresource or not a.name:
        return "can only get individual resources of this type"
    return None if self.uses_volume(node, a.name) else _unrelated(node)


def _attachment(self: NodeAuthorizer, node: str, a: AccessAttributes) -> str | None:
    if a.verb != "get" or a.subresource or not a.name:
        return "can only get individual resources of this type"
    found = self.attachment(a.name)
    return None if found is not None and found["spec"].get("nodeName") == node else _unrelated(node)


def _token(self: NodeAuthorizer, node: str, a: AccessAttributes) -> str | None:
    if a.verb in _READ and not a.subresource:
        return _referenced(lambda pod: {pod["spec"].get("serviceAccountName", "")})(self, node, a)
    if a.verb != "create" or a.subresource != "token" or not a.name:
        return "can only create tokens for individual service accounts"
    for pod in self.pods(node):
        if namespace_of(pod) == a.namespace and pod["spec"].get("serviceAccountName") == a.name:
            return None
    return _unrelated(node)


def _lease(_: NodeAuthorizer, node: str, a: AccessAttributes) -> str | None:
    if a.verb not in ("get", "create", "update", "patch", "delete"):
        return "can only get, create, update, patch, or delete a node lease"
    if a.namespace != LEASES:
        return f'can only access leases in the "{LEASES}" system namespace'
    if a.verb != "create" and a.name != node:
        return "can only access node lease with the same name as the requesting node"
    return None


def _csi_node(_: NodeAuthorizer, node: str, a: AccessAttributes) -> str | None:
    if a.verb not in ("get", "create", "update", "patch", "delete"):
        return "can only get, create, update, patch, or delete a CSINode"
    if a.subresource:
        return "cannot authorize CSINode subresources"
    if a.verb != "create" and a.name != node:
        return "can only access CSINode with the same name as the requesting node"
    return None


def _own_node(_: NodeAuthorizer, node: str, a: AccessAttributes) -> str | None:
    """Creating and changing is the NodeRestriction plugin's to limit."""
    if a.verb in (("update", "patch") if a.subresource else ("create", "update", "patch")):
        return None if a.subresource in ("", "status") else ""
    if a.subresource or a.verb not in _READ:
        return ""
    if a.name == node:
        return None
    what = f"'{a.name}'" if a.name else "all nodes"
    return f"node '{node}' cannot read {what}, only its own Node object"


def _pod(self: NodeAuthorizer, node: str, a: AccessAttributes) -> str | None:
    if (a.subresource, a.verb) in _POD_WRITES:
        return None
    if a.subresource or a.verb not in _READ:
        return ""
    if a.name and any((namespace_of(p), p["metadata"]["name"]) == (a.namespace, a.name) for p in self.pods(node)):
        return None
    if a.verb != "get" and _selected_node(a.field_selector) == node:
        return None
    return _unrelated(node) if a.verb == "get" else "can only list/watch pods with spec.nodeName field selector"


_POD_WRITES = frozenset(
    {("", "create"), ("", "delete"), ("status", "update"), ("status", "patch"), ("eviction", "create")}
)


def _slice(self: NodeAuthorizer, node: str, a: AccessAttributes) -> str | None:
    """Creating is the NodeRestriction plugin's to limit."""
    if a.subresource:
        return "cannot authorize ResourceSlice subresources"
    if a.verb == "create":
        return None
    if a.verb in ("list", "watch", "deletecollection"):
        selects = _selected_node(a.field_selector) == node
        what = "can only list/watch/deletecollection resourceslices with nodeName field selector"
        return None if selects else what
    if a.verb not in ("get", "update", "patch", "delete"):
        verbs = "get, watch, list, create, update, patch, delete, deletecollection"
        return f"only the following verbs are allowed for a ResourceSlice: {verbs}"
    found = self.slice(a.name)
    return None if found is not None and found["spec"].get("nodeName") == node else _unrelated(node)


def _selected_node(selector: str) -> str:
    try:
        return FieldSelector.parse(selector).exact("spec.nodeName") or ""
    except BadRequest:
        return ""


_CHECKS: Mapping[tuple[str, str], Check] = {
    ("", "secrets"): _referenced(secrets_of),
    ("", "configmaps"): _referenced(config_maps_of),
    ("", "persistentvolumeclaims"): _claim,
    ("", "persistentvolumes"): _volume,
    ("", "serviceaccounts"): _token,
    ("", "nodes"): _own_node,
    ("", "pods"): _pod,
    ("coordination.k8s.io", "leases"): _lease,
    ("storage.k8s.io", "csinodes"): _csi_node,
    ("storage.k8s.io", "volumeattachments"): _attachment,
    ("resource.k8s.io", "resourceslices"): _slice,
}
