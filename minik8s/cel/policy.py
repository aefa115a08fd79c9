"""The variables that policies and match conditions see, with upstream's types.

`object`, `oldObject` and `params` are dyn, as upstream compiles them; `request` and `namespaceObject` are objects whose
fields are checked. Upstream: k8s.io/apiserver `pkg/admission/plugin/cel/compile.go`.
"""

from __future__ import annotations

from collections.abc import Mapping

from .library.authz import AUTHORIZER, RESOURCE_CHECK
from .types import BOOL, DYN, INT, STRING, TIMESTAMP, CelType, list_of, map_of, object_of


def _object(kind: str, /, **fields: CelType) -> CelType:
    return object_of(f"kubernetes.{kind}", fields, escaped=False)


_TEXTS = list_of(STRING)
_KIND = _object("GroupVersionKind", group=STRING, version=STRING, kind=STRING)
_RESOURCE = _object("GroupVersionResource", group=STRING, version=STRING, resource=STRING)
_USER = _object("UserInfo", username=STRING, uid=STRING, groups=_TEXTS, extra=map_of(STRING, _TEXTS))
REQUEST = _object(
    "AdmissionRequest",
    kind=_KIND,
    resource=_RESOURCE,
    subResource=STRING,
    requestKind=_KIND,
    requestResource=_RESOURCE,
    requestSubResource=STRING,
    name=STRING,
    namespace=STRING,
    operation=STRING,
    userInfo=_USER,
    dryRun=BOOL,
    options=DYN,
)
"""An AdmissionRequest without uid, object and oldObject."""

_CONDITION = _object(
    "NamespaceCondition", status=STRING, type=STRING, lastTransitionTime=TIMESTAMP, message=STRING, reason=STRING
)
NAMESPACE = _object(
    "Namespace",
    metadata=_object(
        "NamespaceMetadata",
        name=STRING,
        generateName=STRING,
        namespace=STRING,
        labels=map_of(STRING, STRING),
        annotations=map_of(STRING, STRING),
        UID=STRING,
        creationTimestamp=TIMESTAMP,
        deletionGracePeriodSeconds=INT,
        deletionTimestamp=TIMESTAMP,
        generation=INT,
        resourceVersion=STRING,
        finalizers=_TEXTS,
    ),
    spec=_object("NamespaceSpec", finalizers=_TEXTS),
    status=_object("NamespaceStatus", conditions=list_of(_CONDITION), phase=STRING),
)
"""A Namespace as `namespaceObject` shows it; ownerReferences and managedFields are left out, as upstream does."""


def policy_variables(
    *, params: bool = True, authorizer: bool = True, variables: Mapping[str, CelType] | None = None
) -> dict[str, CelType]:
    """What an expression of a policy may mention.

    `variables` are the types (`Program.type`) of the policy's own variables so far; with it `variables.x` is declared,
    and `variables.y` is refused as an undefined field. Its value is best a `Lazy`, filled from `Program.value`.
    """
    declared = {"object": DYN, "oldObject": DYN, "namespaceObject": NAMESPACE, "request": REQUEST}
    if params:
        declared["params"] = DYN
    if authorizer:
        declared |= {"authorizer": AUTHORIZER, "authorizer.requestResource": RESOURCE_CHECK}
    if variables is not None:
        declared["variables"] = object_of("kubernetes.variables", variables, escaped=False)
    return declared
