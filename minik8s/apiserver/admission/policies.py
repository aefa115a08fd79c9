"""Admission policies: rules in CEL that stand in the cluster itself. Here: which apply to a write, and with what.

Policies and bindings are read from the store at every write, so a change is in force at once; compiled they are once
per uid and generation. `validatingpolicy` and `mutatingpolicy` act on what is found.
Upstream: k8s.io/apiserver `pkg/admission/plugin/policy/generic`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from minik8s.api.policies import CompiledPolicy, compile_policy
from minik8s.api.resource import Resource
from minik8s.apiserver.admission.matching import in_selected_namespace, is_selected_object, matched_resource
from minik8s.apiserver.admission.params import ConfigurationError, collect, param_resource
from minik8s.apiserver.admission.plugin import Attributes
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, name_of, uid_of

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext

MAX_COMPILED = 512
EXCLUDED = frozenset(
    {
        "selfsubjectreviews.authentication.k8s.io",
        "tokenreviews.authentication.k8s.io",
        "localsubjectaccessreviews.authorization.k8s.io",
        "selfsubjectaccessreviews.authorization.k8s.io",
        "selfsubjectrulesreviews.authorization.k8s.io",
        "subjectaccessreviews.authorization.k8s.io",
    }
)
"""Questions that policies are not about. Upstream: pkg/kubeapiserver/admission/exclusion."""


@attrs.frozen
class Invocation:
    """A policy with one of its bindings and one parameter, about a write that they match."""

    policy: Doc
    binding: Doc
    compiled: CompiledPolicy
    resource: Resource[Any]
    param: Doc | None

    @property
    def key(self) -> tuple[str, ...]:
        """What a second round knows it by."""
        param = (self.param or {}).get("metadata") or {}
        return (name_of(self.policy), name_of(self.binding), param.get("namespace", ""), param.get("name", ""))


@attrs.frozen
class Failure:
    """A policy or binding that could not be followed."""

    policy: Doc
    binding: Doc | None
    text: str

    @property
    def counts(self) -> bool:
        """Whether the failure refuses the request."""
        return self.policy["spec"].get("failurePolicy", "Fail") != "Ignore"


class Policies:
    """The policies of one kind, of one server."""

    def __init__(self, ctx: ServerContext, policies: Resource[Any], bindings: Resource[Any]) -> None:
        self._ctx = ctx
        self._policies, self._bindings = policies, bindings
        self._compiled: dict[tuple[str, int], CompiledPolicy | ConfigurationError] = {}

    def invocations(self, attributes: Attributes, failed: Callable[[Failure], None]) -> Iterator[Invocation]:
        """Everything that applies to the write, by the names of policies and bindings."""
        if attributes.request.resource.group_resource in EXCLUDED:
            return
        world = self._ctx.world
        by_policy: dict[str, list[Doc]] = {}
        for binding in sorted(world.list(self._bindings), key=name_of):
            by_policy.setdefault(binding["spec"].get("policyName", ""), []).append(binding)
        for name in sorted(by_policy):
            policy = world.get(self._policies, name)
            if policy is not None:
                yield from self._of_policy(policy, by_policy[name], attributes, failed)

    def _of_policy(
        self, policy: Doc, bindings: list[Doc], attributes: Attributes, failed: Callable[[Failure], None]
    ) -> Iterator[Invocation]:
        try:
            resource = self._matched(policy["spec"].get("matchConstraints") or {}, attributes)
            if resource is None:
                return
            params = param_resource(policy["spec"].get("paramKind"), self._ctx.registry)
            compiled = self._compile(policy)
        except (ConfigurationError, ApiError) as error:
            failed(Failure(policy, None, f"failed to configure policy: {error}"))
            return
        for binding in bindings:
            try:
                if self._bound(binding["spec"].get("matchResources"), attributes):
                    reference = binding["spec"].get("paramRef")
                    found = collect(params, reference, attributes.request.namespace, self._ctx.world)
                    yield from (Invocation(policy, binding, compiled, resource, param) for param in found)
            except (ConfigurationError, ApiError) as error:
                failed(Failure(policy, binding, f"failed to configure binding: {error}"))

    def _compile(self, policy: Doc) -> CompiledPolicy:
        key = (uid_of(policy), policy["metadata"].get("generation", 0))
        found = self._compiled.get(key)
        if found is None:
            compiled, errors = compile_policy(policy["spec"])
            found = ConfigurationError(errors[0].message) if errors else compiled
            while len(self._compiled) >= MAX_COMPILED:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[key] = found
        if isinstance(found, ConfigurationError):
            raise found
        return found

    def _bound(self, resources: Mapping[str, Any] | None, attributes: Attributes) -> bool:
        """Whether a binding is about the write; without matchResources it is about all that the policy is about."""
        return resources is None or self._matched(resources, attributes, everything=True) is not None

    def _matched(
        self, resources: Mapping[str, Any], attributes: Attributes, *, everything: bool = False
    ) -> Resource[Any] | None:
        """The resource as which MatchResources match the write."""
        ctx = self._ctx
        if not is_selected_object(resources.get("objectSelector"), attributes):
            return None
        policy = resources.get("matchPolicy") or "Equivalent"
        excluded = resources.get("excludeResourceRules") or ()
        if excluded and matched_resource(excluded, attributes, ctx.registry, policy) is not None:
            return None
        rules = resources.get("resourceRules") or ()
        if not rules and everything:
            found: Resource[Any] | None = attributes.request.resource
        else:
            found = matched_resource(rules, attributes, ctx.registry, policy)
        if found is None or not in_selected_namespace(resources.get("namespaceSelector"), attributes, ctx.world):
            return None
        return found
