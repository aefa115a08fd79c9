"""PodSecurity: a namespace's labels say which pod security standard its pods must meet.

`enforce` refuses pods; `warn` adds Warning headers and `audit` a note in the audit log, both also for workloads whose
template would not pass. Whoever makes a namespace stricter is told which of its pods would not be let in any more. What
upstream reads from a file (other defaults, exemptions) does not exist here. Upstream:
plugin/pkg/admission/security/podsecurity, k8s.io/pod-security-admission.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import attrs

from minik8s.api.resources import NAMESPACES, PODS
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.apiserver.admission.podstandards import LATEST, LEVELS, reasons, violations
from minik8s.machinery.errors import Invalid
from minik8s.machinery.field import FieldErrors, invalid
from minik8s.machinery.meta import Doc, labels_of, name_of

PREFIX = "pod-security.kubernetes.io/"
_ENFORCED = f"{PREFIX}enforce-policy"
_MODES = ("enforce", "audit", "warn")
_VERSION = re.compile(r"latest|v1\.(0|[1-9][0-9]{0,3})")
MAX_PODS = 3000
"""How many pods of a namespace a stricter policy is held against: upstream's namespaceMaxPodsToCheck."""
_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
    "podtemplates": ("template",),
    **dict.fromkeys(
        (
            "daemonsets.apps",
            "deployments.apps",
            "jobs.batch",
            "replicasets.apps",
            "replicationcontrollers",
            "statefulsets.apps",
        ),
        ("spec", "template"),
    ),
}


class PodSecurity(AdmissionPlugin):
    """See the module."""

    name: ClassVar[str] = "PodSecurity"
    resources: ClassVar[Collection[str]] = ("pods", "namespaces", *_TEMPLATES)
    stands_on: ClassVar[Collection[str]] = (NAMESPACES.group_resource,)

    def validate(self, attributes: Attributes, world: World) -> None:
        obj, plural = attributes.object, attributes.request.resource.group_resource
        if obj is None or attributes.operation not in ("CREATE", "UPDATE"):
            return
        subresource = attributes.request.subresource
        if plural == "pods":
            if subresource in ("", "ephemeralcontainers", "resize"):
                self._pod(attributes, world, obj)
        elif subresource:
            return
        elif plural == "namespaces":
            self._namespace(attributes, world, obj)
        elif plural in _TEMPLATES:
            template: Any = obj
            for key in _TEMPLATES[plural]:
                template = (template or {}).get(key)
            if template:
                self._tell(attributes, _labels(attributes, world), template)

    def _pod(self, attributes: Attributes, world: World, pod: Doc) -> None:
        labels = _labels(attributes, world)
        if not labels:
            attributes.annotate(_ENFORCED, "privileged:latest")
            return
        policy = _policy(labels, "enforce")
        attributes.annotate(_ENFORCED, str(policy))
        if attributes.old is not None and not _is_significant(pod, attributes.old):
            return
        if found := violations(policy.level, pod, policy.minor):
            self._audit(attributes, labels, pod)
            raise attributes.forbidden(f'violates PodSecurity "{policy}": {found}')
        self._tell(attributes, labels, pod)

    def _tell(self, attributes: Attributes, labels: Mapping[str, str], pod: Mapping[str, Any]) -> None:
        self._audit(attributes, labels, pod)
        policy = _policy(labels, "warn")
        if found := violations(policy.level, pod, policy.minor):
            attributes.warnings.append(f'would violate PodSecurity "{policy}": {found}')

    def _audit(self, attributes: Attributes, labels: Mapping[str, str], pod: Mapping[str, Any]) -> None:
        policy = _policy(labels, "audit")
        if found := violations(policy.level, pod, policy.minor):
            attributes.annotate(f"{PREFIX}audit-violations", f'would violate PodSecurity "{policy}": {found}')

    def _namespace(self, attributes: Attributes, world: World, namespace: Doc) -> None:
        labels, before = labels_of(namespace), labels_of(attributes.old) if attributes.old is not None else {}
        errors = [
            error
            for key, value in labels.items()
            if key.startswith(PREFIX) and before.get(key) != value
            for error in _label_errors(key, value)
        ]
        if errors:
            raise Invalid.object("Namespace", "", attributes.name, errors)
        if attributes.old is None:
            return
        new, old = _policy(labels, "enforce"), _policy(before, "enforce")
        relaxed = new.version == old.version and LEVELS.index(new.level) <= LEVELS.index(old.level)
        if new != old and new.level != "privileged" and not relaxed:
            attributes.warnings += _existing(world.list(PODS, attributes.request.name), attributes.request.name, new)


@attrs.frozen
class _Policy:
    """What a mode asks for; as text `restricted:latest`."""

    level: str
    version: str

    def __str__(self) -> str:
        return f"{self.level}:{self.version}"

    @property
    def minor(self) -> int:
        return LATEST if self.version == "latest" else int(self.version.removeprefix("v1."))


def _existing(pods: Sequence[Doc], namespace: str, policy: _Policy) -> list[str]:
    """Warnings about the pods that a stricter policy would not let in any more, grouped by what is wrong with them."""
    checked = pods[:MAX_PODS]
    groups: dict[str, list[str]] = {}
    for pod in checked:
        if why := reasons(policy.level, pod, policy.minor):
            groups.setdefault(why, []).append(name_of(pod))
    warnings = []
    if len(checked) < len(pods):
        counts = f"the first {len(checked)} of {len(pods)} existing pods"
        warnings.append(f"new PodSecurity enforce level only checked against {counts}")
    if groups:
        warnings.append(
            f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{policy}"'
        )
    return warnings + sorted(_grouped(names, why) for why, names in groups.items())


def _grouped(names: list[str], why: str) -> str:
    others = len(names) - 1
    more = "" if not others else " (and 1 other pod)" if others == 1 else f" (and {others} other pods)"
    return f"{min(names)}{more}: {why}"


def _is_significant(pod: Doc, old: Doc) -> bool:
    """Whether an update changes anything that a standard looks at and that can be changed: images, new containers."""
    if pod["spec"] == old["spec"]:
        return False
    for field in ("containers", "initContainers", "ephemeralContainers"):
        images = [{c.get("name"): c.get("image") for c in spec.get(field) or ()} for spec in (pod["spec"], old["spec"])]
        if images[0] != images[1]:
            return True
    return False


def _label_errors(key: str, value: str) -> FieldErrors:
    path, mode = f"metadata.labels[{key}]", key.removeprefix(PREFIX)
    if mode in _MODES and value not in LEVELS:
        return [invalid(path, value, f"must be one of {', '.join(LEVELS)}")]
    if mode.removesuffix("-version") in _MODES and mode.endswith("-version") and not _VERSION.fullmatch(value):
        return [invalid(path, value, 'must be "latest" or "v1.x"')]
    return []


def _labels(attributes: Attributes, world: World) -> Mapping[str, str]:
    """The namespace's labels, none when none of them is about this: that is what most pods pay for."""
    namespace = world.get(NAMESPACES, attributes.namespace)
    labels = labels_of(namespace) if namespace is not None else {}
    return labels if any(key.startswith(PREFIX) for key in labels) else {}


_PRIVILEGED = _Policy("privileged", "latest")


def _policy(labels: Mapping[str, str], mode: str) -> _Policy:
    """What is in force; nothing without a label, except that `warn` follows a stricter `enforce`.

    A level that does not exist (a label from before it was checked) counts as restricted where it is enforced.
    """
    if not labels:
        return _PRIVILEGED
    level, version = labels.get(PREFIX + mode), labels.get(f"{PREFIX}{mode}-version")
    if level is None and mode == "warn" and labels.get(f"{PREFIX}enforce") in LEVELS:
        enforced = _policy(labels, "enforce")
        level, version = enforced.level, version or enforced.version
    if level not in LEVELS:
        level = "privileged" if level is None or mode != "enforce" else "restricted"
    return _Policy(level, version if version and _VERSION.fullmatch(version) else "latest")
