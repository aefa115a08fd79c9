"""Parameters: the objects by which a policy's binding says what the policy means here.

Upstream: k8s.io/apiserver `pkg/admission/plugin/policy/generic` CollectParams.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.resource import Resource
from minik8s.apiserver.admission.plugin import World
from minik8s.apiserver.registry import Registry
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import Doc, labels_of
from minik8s.machinery.selectors import LabelSelector


class ConfigurationError(Exception):
    """A policy or binding that cannot be followed; its failure policy says what that means."""


def param_resource(kind: Mapping[str, Any] | None, registry: Registry) -> Resource[Any] | None:
    """The resource of a policy's paramKind, None without one. Raises ConfigurationError."""
    if kind is None:
        return None
    api_version, name = kind.get("apiVersion", ""), kind.get("kind", "")
    found = registry.by_kind(api_version, name)
    if found is None:
        shown = api_version if "/" in api_version else f"/{api_version}"
        raise ConfigurationError(f"failed to find resource referenced by paramKind: '{shown}, Kind={name}'")
    return found


def collect(
    resource: Resource[Any] | None, reference: Mapping[str, Any] | None, namespace: str, world: World
) -> list[Doc | None]:
    """The parameters with which a policy is evaluated one after the other; [None] where it takes none.

    Raises ConfigurationError.
    """
    if resource is None or reference is None:
        return [None]
    if reference.get("namespace") and not resource.namespaced:
        raise ConfigurationError("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    where = ""
    if resource.namespaced:
        where = reference.get("namespace") or namespace
        if not where:
            raise ConfigurationError(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            )
    found = _found(resource, reference, where, world)
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise ConfigurationError("no params found for policy binding with `Deny` parameterNotFoundAction")
    return found


def _found(resource: Resource[Any], reference: Mapping[str, Any], namespace: str, world: World) -> list[Doc | None]:
    if name := reference.get("name"):
        one = world.get(resource, name, namespace)
        return [] if one is None else [one]
    try:
        selector = LabelSelector.from_object(reference.get("selector"))
    except BadRequest as error:
        raise ConfigurationError(error.message) from None
    return [obj for obj in world.list(resource, namespace) if selector.matches(labels_of(obj))]
