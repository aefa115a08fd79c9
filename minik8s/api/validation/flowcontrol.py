"""Which requests a FlowSchema takes, and how a priority level lets them in.

Upstream: pkg/apis/flowcontrol/validation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from minik8s.api.flowcontrol import mandatory, spec_equalish
from minik8s.api.resource import Resource
from minik8s.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from minik8s.api.validation.common import Causes, in_range, named, required_name
from minik8s.machinery import names
from minik8s.machinery.field import forbidden, invalid, not_supported, required
from minik8s.machinery.meta import Doc, name_of

Part = Mapping[str, Any]

EXEMPT = "exempt"
MAX_PRECEDENCE = 10_000
MAX_QUEUES = 10_000_000
HASH_BITS = 60
"""What a flow's hand of queues may need of its hash."""
_METHODS = ("ByNamespace", "ByUser")
_SUBJECTS = ("Group", "ServiceAccount", "User")
_VERBS = ("*", "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_PATH_VERBS = ("*", "connect", "delete", "get", "head", "options", "patch", "post", "put", "trace")


def validate_flow_schema(schema: Doc) -> Causes:
    spec = schema["spec"]
    precedence = spec.get("matchingPrecedence", 0)
    if precedence <= 0:
        yield invalid("spec.matchingPrecedence", precedence, "must be a positive value")
    if precedence > MAX_PRECEDENCE:
        yield invalid("spec.matchingPrecedence", precedence, f"must not be greater than {MAX_PRECEDENCE}")
    if precedence == 1 and name_of(schema) != EXEMPT:
        detail = f"only the schema named '{EXEMPT}' may have matchingPrecedence 1"
        yield invalid("spec.matchingPrecedence", precedence, detail)
    if (method := spec.get("distinguisherMethod")) is not None and method.get("type") not in _METHODS:
        shown = {"Type": method.get("type", "")}
        yield not_supported("spec.distinguisherMethod", shown, _METHODS)
    level, path = (spec.get("priorityLevelConfiguration") or {}).get("name"), "spec.priorityLevelConfiguration.name"
    if level:
        yield from named(level, path, names.dns1123_subdomain)
    else:
        yield required(path, "must reference a priority level")
    for index, rule in enumerate(spec.get("rules") or ()):
        yield from _rule(rule, f"spec.rules[{index}]")
    yield from _fixed(FLOW_SCHEMAS, schema)


def _fixed(resource: Resource[Any], obj: Doc) -> Causes:
    """The specs of mandatory objects are laid down, but for what is set aside for the exempt."""
    wanted = mandatory(resource.group_resource).get(name_of(obj))
    if wanted is not None and not spec_equalish(wanted["spec"], obj["spec"]):
        exception = " except the 'spec.exempt' field" if "exempt" in wanted["spec"] else ""
        yield invalid("spec", obj["spec"], f"spec of '{name_of(obj)}'{exception} must equal the fixed value")


def _rule(rule: Part, path: str) -> Causes:
    subjects = rule.get("subjects") or ()
    if not subjects:
        yield required(f"{path}.subjects", "subjects must contain at least one value")
    for index, subject in enumerate(subjects):
        yield from _subject(subject, f"{path}.subjects[{index}]")
    resources, urls = rule.get("resourceRules") or (), rule.get("nonResourceRules") or ()
    if not resources and not urls:
        yield required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for index, part in enumerate(resources):
        yield from _resources(part, f"{path}.resourceRules[{index}]")
    for index, part in enumerate(urls):
        yield from _urls(part, f"{path}.nonResourceRules[{index}]")


def _subject(subject: Part, path: str) -> Causes:
    kind = subject.get("kind", "")
    if kind not in _SUBJECTS:
        yield not_supported(f"{path}.kind", kind, _SUBJECTS)
        return
    for field, needed in (("serviceAccount", "ServiceAccount"), ("user", "User"), ("group", "Group")):
        part, place = subject.get(field), f"{path}.{field}"
        if needed == kind and part is None:
            yield required(place, f"{field} is required when subject kind is '{kind}'")
        elif needed != kind and part is not None:
            yield forbidden(place, f"{field} is forbidden when subject kind is not '{needed}'")
        elif part is not None and kind == "ServiceAccount":
            yield from _account(part, place)
        elif part is not None and not part.get("name"):
            yield required(f"{place}.name")


def _account(account: Part, path: str) -> Causes:
    name, namespace = account.get("name", ""), account.get("namespace")
    if not name:
        yield required(f"{path}.name")
    elif name != "*":
        yield from named(name, f"{path}.name", names.dns1123_subdomain)
    yield from required_name(namespace, f"{path}.namespace", names.dns1123_label)


def _strings(part: Part, path: str, field: str, missing: str, other: str) -> Causes:
    """A list that needs a value, and in which `*` stands alone."""
    values = part.get(field) or ()
    if not values:
        yield required(f"{path}.{field}", missing)
    elif "*" in values and len(values) > 1:
        yield invalid(f"{path}.{field}", list(values), f"if '*' is present, must not specify other {other}")


def _verbs(part: Part, path: str, supported: tuple[str, ...]) -> Causes:
    yield from _strings(part, path, "verbs", "verbs must contain at least one value", "verbs")
    if wrong := [verb for verb in part.get("verbs") or () if verb not in supported]:
        yield not_supported(f"{path}.verbs", wrong, supported)


def _resources(part: Part, path: str) -> Causes:
    yield from _verbs(part, path, _VERBS)
    missing = "resource rules must supply at least one "
    yield from _strings(part, path, "apiGroups", f"{missing}api group", "api groups")
    yield from _strings(part, path, "resources", f"{missing}resource", "resources")
    namespaces = part.get("namespaces") or ()
    if not namespaces and not part.get("clusterScope"):
        detail = "resource rules that are not cluster scoped must supply at least one namespace"
        yield required(f"{path}.namespaces", detail)
    elif "*" in namespaces and len(namespaces) > 1:
        detail = "if '*' is present, must not specify other namespaces"
        yield invalid(f"{path}.namespaces", list(namespaces), detail)
    else:
        for index, namespace in enumerate(namespaces):
            if namespace != "*":
                yield from named(namespace, f"{path}.namespaces[{index}]", names.dns1123_label)


def _urls(part: Part, path: str) -> Causes:
    yield from _verbs(part, path, _PATH_VERBS)
    missing = "nonResourceURLs must contain at least one value"
    yield from _strings(part, path, "nonResourceURLs", missing, "non-resource URLs")
    for index, url in enumerate(part.get("nonResourceURLs") or ()):
        place = f"{path}.nonResourceURLs[{index}]"
        if url != "*" and not url.startswith("/"):
            yield invalid(place, url, "must start with slash")
        elif "*" in url[:-1]:
            yield invalid(place, url, "wildcard can only be in the last position")


def validate_priority_level(level: Doc) -> Causes:
    spec, name = level["spec"], name_of(level)
    kind, limited, exempt = spec.get("type", ""), spec.get("limited"), spec.get("exempt")
    if (name == EXEMPT) != (kind == "Exempt") and kind in ("Exempt", "Limited"):
        detail = f"type must be 'Exempt' if and only if name is '{EXEMPT}'"
        yield invalid("spec.type", kind, detail)
    if kind == "Exempt":
        if limited is not None:
            yield forbidden("spec.limited", "must be nil if the type is not Limited")
        if exempt is None:
            yield required("spec.exempt", "must not be empty if type is Exempt")
        else:
            yield from _shares(exempt, "spec.exempt")
    elif kind == "Limited":
        if exempt is not None:
            yield forbidden("spec.exempt", "must be nil if the type is Limited")
        if limited is None:
            yield required("spec.limited", "must not be empty when type is Limited")
        else:
            yield from _shares(limited, "spec.limited")
            yield from _response(limited.get("limitResponse") or {}, "spec.limited.limitResponse")
    else:
        yield not_supported("spec.type", kind, ("Exempt", "Limited"))
    yield from _fixed(PRIORITY_LEVEL_CONFIGURATIONS, level)


def _shares(part: Part, path: str) -> Causes:
    if part.get("nominalConcurrencyShares", 0) < 0:
        detail = "must be a non-negative integer"
        yield invalid(f"{path}.nominalConcurrencyShares", part["nominalConcurrencyShares"], detail)
    yield from in_range(part.get("lendablePercent"), f"{path}.lendablePercent", 0, 100)
    borrowing = part.get("borrowingLimitPercent")
    if borrowing is not None and borrowing < 0:
        detail = "if specified, must be a non-negative integer"
        yield invalid(f"{path}.borrowingLimitPercent", borrowing, detail)


def _response(response: Part, path: str) -> Causes:
    kind, queuing = response.get("type", ""), response.get("queuing")
    if kind == "Reject":
        if queuing is not None:
            yield forbidden(f"{path}.queuing", "must be nil if limited.limitResponse.type is not Limited")
    elif kind == "Queue":
        if queuing is None:
            yield required(f"{path}.queuing", "must not be empty if limited.limitResponse.type is Limited")
        else:
            yield from _queuing(queuing, f"{path}.queuing")
    else:
        yield not_supported(f"{path}.type", kind, ("Queue", "Reject"))


def _queuing(queuing: Part, path: str) -> Causes:
    for field in ("queueLengthLimit", "queues", "handSize"):
        if queuing.get(field, 0) <= 0:
            yield invalid(f"{path}.{field}", queuing.get(field, 0), "must be positive")
    hand, queues = queuing.get("handSize", 0), queuing.get("queues", 0)
    if queues > MAX_QUEUES:
        yield invalid(f"{path}.queues", queues, f"must not be greater than {MAX_QUEUES}")
    if hand > queues > 0:
        yield invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})")
    elif hand > 0 and queues > 0 and math.ceil(math.log2(queues) * hand) > HASH_BITS:
        needed = f"required entropy bits of deckSize {queues} and handSize {hand}"
        yield invalid(f"{path}.handSize", hand, f"{needed} should not be greater than {HASH_BITS}")
