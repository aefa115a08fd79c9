"""Webhook configurations and admission policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.validation.common import in_range, one_of
from minik8s.api.validation.selectors import validate_label_selector
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, invalid, required
from minik8s.machinery.meta import Doc, Obj

_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")


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
            yield from _webhook(webhook, path)
            if name in seen:
                yield duplicate(f"{path}.name", name)
            seen.add(name)


class MutatingWebhookConfigurationStrategy(WebhookConfigurationStrategy):
    """Mutating webhooks may be called again."""

    is_mutating = True


def _default_rules(rules: Any) -> None:
    for rule in rules:
        set_default(rule, "scope", "*")


def _webhook(webhook: Mapping[str, Any], path: str) -> Causes:
    name = webhook.get("name", "")
    if not name:
        yield required(f"{path}.name")
    elif wrong := names.dns1123_subdomain(name):
        yield invalid(f"{path}.name", name, wrong[0])
    elif name.count(".") < 2:
        yield invalid(f"{path}.name", name, "should be a domain with at least three segments separated by dots")
    if not webhook.get("admissionReviewVersions"):
        yield required(f"{path}.admissionReviewVersions", "must specify one of v1, v1beta1")
    for index, rule in enumerate(webhook.get("rules") or ()):
        yield from _rule(rule, f"{path}.rules[{index}]")
    yield from one_of(webhook.get("failurePolicy"), f"{path}.failurePolicy", ("Fail", "Ignore"))
    yield from one_of(webhook.get("matchPolicy"), f"{path}.matchPolicy", ("Equivalent", "Exact"))
    yield from one_of(webhook.get("sideEffects"), f"{path}.sideEffects", _SIDE_EFFECTS)
    yield from in_range(webhook.get("timeoutSeconds"), f"{path}.timeoutSeconds", 1, 30)
    for field in ("namespaceSelector", "objectSelector"):
        yield from validate_label_selector(webhook.get(field) or {}, f"{path}.{field}")
    config = webhook.get("clientConfig") or {}
    if (config.get("url") is None) == (config.get("service") is None):
        yield required(f"{path}.clientConfig", "exactly one of url or service is required")


def _rule(rule: Mapping[str, Any], path: str) -> Causes:
    for field in ("operations", "apiGroups", "apiVersions", "resources"):
        if not rule.get(field):
            yield required(f"{path}.{field}")
    for index, operation in enumerate(rule.get("operations") or ()):
        yield from one_of(operation, f"{path}.operations[{index}]", _OPERATIONS)


class AdmissionPolicyStrategy(KindStrategy):
    """ValidatingAdmissionPolicy and MutatingAdmissionPolicy; stored, not evaluated."""

    has_generation = True
    requires_version = True

    def default(self, obj: Obj) -> None:
        spec = obj["spec"]
        set_default(spec, "failurePolicy", "Fail")
        if (constraints := spec.get("matchConstraints")) is not None:
            default_match_resources(constraints)


class AdmissionPolicyBindingStrategy(KindStrategy):
    """Their bindings."""

    has_generation = True
    requires_version = True

    def default(self, obj: Obj) -> None:
        if (resources := obj["spec"].get("matchResources")) is not None:
            default_match_resources(resources)


def default_match_resources(resources: Obj) -> None:
    """Defaults of MatchResources."""
    set_default(resources, "matchPolicy", "Equivalent")
    resources.setdefault("namespaceSelector", {})
    resources.setdefault("objectSelector", {})
    _default_rules([*(resources.get("resourceRules") or ()), *(resources.get("excludeResourceRules") or ())])


STRATEGIES: Mapping[str, type[KindStrategy]] = {
    "mutatingadmissionpolicies": AdmissionPolicyStrategy,
    "mutatingadmissionpolicybindings": AdmissionPolicyBindingStrategy,
    "mutatingwebhookconfigurations": MutatingWebhookConfigurationStrategy,
    "validatingadmissionpolicies": AdmissionPolicyStrategy,
    "validatingadmissionpolicybindings": AdmissionPolicyBindingStrategy,
    "validatingwebhookconfigurations": WebhookConfigurationStrategy,
}
