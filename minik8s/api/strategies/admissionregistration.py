"""Webhook configurations and admission policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.validation import admission as rules
from minik8s.api.validation.common import one_of
from minik8s.api.validation.selectors import validate_label_selector
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, invalid, not_supported, required
from minik8s.machinery.meta import Doc, Obj

_SIDE_EFFECTS = ("None", "NoneOnDryRun")


class WebhookConfigurationStrategy(KindStrategy):
    """Both kinds of webhook. Upstream: pkg/registry/admissionregistration/*webhookconfiguration."""

    has_generation = True
    requires_version = True
    is_mutating = False

    def default(self, obj: Obj) -> None:
        for webhook in obj.get("webhooks") or ():
            set_default(webhook, "failurePolicy", "Fail")
            set_default(webhook, "matchPolicy", "Equivalent")
            webhook.setdefault("namespaceSelector", {})
            webhook.setdefault("objectSelector", {})
            webhook.setdefault("timeoutSeconds", 10)
            if self.is_mutating:
                set_default(webhook, "reinvocationPolicy", "Never")
            _default_rules(webhook.get("rules") or ())
            if service := (webhook.get("clientConfig") or {}).get("service"):
                service.setdefault("port", 443)

    def check(self, obj: Doc) -> Causes:
        seen = set()
        for index, webhook in enumerate(obj.get("webhooks") or ()):
            path, name = f"webhooks[{index}]", webhook.get("name", "")
            yield from _webhook(webhook, path, is_mutating=self.is_mutating)
            if name in seen:
                yield duplicate(f"{path}.name", name)
            seen.add(name)


class MutatingWebhookConfigurationStrategy(WebhookConfigurationStrategy):
    """Mutating webhooks may be called again."""

    is_mutating = True


def _default_rules(rules: Any) -> None:
    for rule in rules:
        set_default(rule, "scope", "*")


def _webhook(webhook: Mapping[str, Any], path: str, *, is_mutating: bool) -> Causes:
    name = webhook.get("name", "")
    if not name:
        yield required(f"{path}.name")
    elif wrong := names.dns1123_subdomain(name):
        yield invalid(f"{path}.name", name, wrong[0])
    elif name.count(".") < 2:
        yield invalid(f"{path}.name", name, "should be a domain with at least three segments separated by dots")
    yield from rules.validate_review_versions(
        webhook.get("admissionReviewVersions") or (), f"{path}.admissionReviewVersions"
    )
    for index, rule in enumerate(webhook.get("rules") or ()):
        yield from rules.validate_rule(rule, f"{path}.rules[{index}]")
    yield from one_of(webhook.get("failurePolicy"), f"{path}.failurePolicy", ("Fail", "Ignore"))
    yield from one_of(webhook.get("matchPolicy"), f"{path}.matchPolicy", ("Equivalent", "Exact"))
    effects = webhook.get("sideEffects")
    if not effects:
        yield required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun")
    elif effects not in _SIDE_EFFECTS:
        yield not_supported(f"{path}.sideEffects", effects, _SIDE_EFFECTS)
    if is_mutating:
        yield from one_of(webhook.get("reinvocationPolicy"), f"{path}.reinvocationPolicy", ("IfNeeded", "Never"))
    timeout = webhook.get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= 30:
        yield invalid(f"{path}.timeoutSeconds", timeout, "the timeout value must be between 1 and 30 seconds")
    for field in ("namespaceSelector", "objectSelector"):
        yield from validate_label_selector(webhook.get(field) or {}, f"{path}.{field}")
    yield from rules.validate_client_config(webhook.get("clientConfig") or {}, f"{path}.clientConfig")
    conditions = webhook.get("matchConditions") or ()
    yield from rules.validate_conditions(conditions, f"{path}.matchConditions")
    yield from rules.condition_errors(conditions, f"{path}.matchConditions")


class AdmissionPolicyBase(KindStrategy):
    """What both kinds of policy have in common."""

    has_generation = True
    requires_version = True

    def default(self, obj: Obj) -> None:
        spec = obj["spec"]
        set_default(spec, "failurePolicy", "Fail")
        if (constraints := spec.get("matchConstraints")) is not None:
            default_match_resources(constraints)


class AdmissionPolicyStrategy(AdmissionPolicyBase):
    """ValidatingAdmissionPolicy."""

    status_keeps_metadata = True

    def check(self, obj: Doc) -> Causes:
        yield from rules.validate_policy(obj["spec"])
        yield from rules.validate_validations(obj["spec"])


class MutatingAdmissionPolicyStrategy(AdmissionPolicyBase):
    """MutatingAdmissionPolicy; it has no status."""

    def check(self, obj: Doc) -> Causes:
        yield from rules.validate_policy(obj["spec"])
        yield from rules.validate_mutations(obj["spec"])


class AdmissionPolicyBindingStrategy(KindStrategy):
    """Bindings of ValidatingAdmissionPolicies."""

    has_generation = True
    requires_version = True
    is_validating = True

    def default(self, obj: Obj) -> None:
        if (resources := obj["spec"].get("matchResources")) is not None:
            default_match_resources(resources)

    def check(self, obj: Doc) -> Causes:
        return rules.validate_binding(obj["spec"], validating=self.is_validating)


class MutatingAdmissionPolicyBindingStrategy(AdmissionPolicyBindingStrategy):
    """Bindings of MutatingAdmissionPolicies have no actions to choose from."""

    is_validating = False


def default_match_resources(resources: Obj) -> None:
    """Defaults of MatchResources."""
    set_default(resources, "matchPolicy", "Equivalent")
    resources.setdefault("namespaceSelector", {})
    resources.setdefault("objectSelector", {})
    _default_rules([*(resources.get("resourceRules") or ()), *(resources.get("excludeResourceRules") or ())])


STRATEGIES: Mapping[str, type[KindStrategy]] = {
    "mutatingadmissionpolicies": MutatingAdmissionPolicyStrategy,
    "mutatingadmissionpolicybindings": MutatingAdmissionPolicyBindingStrategy,
    "mutatingwebhookconfigurations": MutatingWebhookConfigurationStrategy,
    "validatingadmissionpolicies": AdmissionPolicyStrategy,
    "validatingadmissionpolicybindings": AdmissionPolicyBindingStrategy,
    "validatingwebhookconfigurations": WebhookConfigurationStrategy,
}
