"""What is legal in pods, volumes and claims but probably not meant.

Upstream: pkg/api/pod/warnings.go, pkg/api/persistentvolume/util.go, pkg/api/persistentvolumeclaim/util.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minik8s.machinery import names
from minik8s.machinery.meta import Doc
from minik8s.machinery.quantity import NANO, parse_quantity

Part = Mapping[str, Any]

_OLD_NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
}
_OLD_SOURCES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_OLD_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "seccomp.security.alpha.kubernetes.io/pod": 'non-functional in v1.27+; use the "seccompProfile" field instead',
}
_OLD_ANNOTATION_PREFIXES = {
    "container.seccomp.security.alpha.kubernetes.io/": (
        'non-functional in v1.27+; use the "seccompProfile" field instead'
    ),
    "container.apparmor.security.beta.kubernetes.io/": (
        'deprecated since v1.30; use the "appArmorProfile" field instead'
    ),
}
_NULL_SELECTOR = "a null labelSelector results in matching no pod"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
_OLD_MOUNTS = "volume.beta.kubernetes.io/mount-options"


def pod_warnings(spec: Part, path: str, metadata: Part | None = None, metadata_path: str = "metadata") -> list[str]:
    """Texts for Warning headers about a pod spec that stands at `path`; `metadata` are the pod's or template's."""
    return list(_pod(spec, path, (metadata or {}).get("annotations") or {}, metadata_path))


def template_warnings(template: Part, path: str) -> list[str]:
    """The same about a PodTemplateSpec."""
    return pod_warnings(template["spec"], f"{path}.spec", template.get("metadata"), f"{path}.metadata")


def workload_warnings(obj: Doc, old: Doc | None, template: Part, path: str) -> list[str]:
    """What a workload's creation, or a change of its spec, gives cause to say."""
    if old is not None and obj["metadata"].get("generation") == old["metadata"].get("generation"):
        return []
    return [*name_warnings(obj, old), *template_warnings(template, path)]


def name_warnings(obj: Doc, old: Doc | None) -> list[str]:
    """A workload whose name makes no good host names; said once, when it is created."""
    wrong = names.dns1123_label(obj["metadata"].get("name", "")) if old is None else []
    if not wrong:
        return []
    text = (
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label "
        "is recommended: "
    )
    return [f"{text}[{' '.join(wrong)}]"]


def _pod(spec: Part, path: str, annotations: Part, metadata_path: str) -> Iterator[str]:
    for key in spec.get("nodeSelector") or ():
        if key in _OLD_NODE_LABELS:
            yield f"{path}.nodeSelector[{key}]: {_OLD_NODE_LABELS[key]}"
    if affinity := spec.get("affinity"):
        yield from _affinity(affinity, f"{path}.affinity")
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        place = f"{path}.topologySpreadConstraints[{index}]"
        if (key := constraint.get("topologyKey")) in _OLD_NODE_LABELS:
            yield f"{place}.topologyKey: {key} is {_OLD_NODE_LABELS[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{place}.labelSelector: {_NULL_SELECTOR}"
    for key in annotations:
        if text := _OLD_ANNOTATIONS.get(key) or _old_prefix(key):
            yield f"{metadata_path}.annotations[{key}]: {text}"
    for index, volume in enumerate(spec.get("volumes") or ()):
        yield from _volume(volume, f"{path}.volumes[{index}]")
    yield from _same(spec.get("hostAliases") or (), "ip", f"{path}.hostAliases")
    yield from _same_secrets(spec.get("imagePullSecrets") or (), f"{path}.imagePullSecrets")
    count = 0
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            count += 1
            yield from _container(container, path, field, index)
    if (seconds := spec.get("terminationGracePeriodSeconds")) is not None and seconds < 0:
        text = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{path}.terminationGracePeriodSeconds: {text}"
    if overhead := spec.get("overhead"):
        yield from _fractions(overhead, f"{path}.overhead")
    if count > 1:  # one container's own names are unique already
        yield from _named_ports(spec, path)


def _old_prefix(key: str) -> str | None:
    return next((text for prefix, text in _OLD_ANNOTATION_PREFIXES.items() if key.startswith(prefix)), None)


def _affinity(affinity: Part, path: str) -> Iterator[str]:
    node = affinity.get("nodeAffinity") or {}
    for number, term in enumerate((node.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()):
        yield from _node_term(term, f"{path}.nodeAffinity.{_REQUIRED}.nodeSelectorTerms[{number}]")
    for number, preferred in enumerate(node.get(_PREFERRED) or ()):
        yield from _node_term(
            preferred.get("preference") or {}, f"{path}.nodeAffinity.{_PREFERRED}[{number}].preference"
        )
    for name in ("podAffinity", "podAntiAffinity"):
        pods = affinity.get(name) or {}
        for number, term in enumerate(pods.get(_REQUIRED) or ()):
            yield from _pod_term(term, f"{path}.{name}.{_REQUIRED}[{number}]")
        for number, weighted in enumerate(pods.get(_PREFERRED) or ()):
            place = f"{path}.{name}.{_PREFERRED}[{number}].podAffinityTerm"
            yield from _pod_term(weighted.get("podAffinityTerm") or {}, place)


def _node_term(term: Part, path: str) -> Iterator[str]:
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        if (key := expression.get("key")) in _OLD_NODE_LABELS:
            yield f"{path}.matchExpressions[{index}].key: {key} is {_OLD_NODE_LABELS[key]}"


def _pod_term(term: Part, path: str) -> Iterator[str]:
    if term.get("labelSelector") is None:
        yield f"{path}.labelSelector: {_NULL_SELECTOR}"


def _volume(volume: Part, path: str) -> Iterator[str]:
    for kind in volume:
        if kind in _OLD_SOURCES:
            yield f"{path}.{kind}: {_OLD_SOURCES[kind]}"
    if claim := (volume.get("ephemeral") or {}).get("volumeClaimTemplate"):
        yield from _claim_spec(claim.get("spec") or {}, f"{path}.ephemeral.volumeClaimTemplate.spec")


def _container(container: Part, path: str, field: str, index: int) -> Iterator[str]:
    """Most containers have nothing to say much about, so even their path is only made when it is needed."""
    if resources := container.get("resources"):
        for part in ("limits", "requests"):
            if amounts := resources.get(part):
                yield from _fractions(amounts, f"{path}.{field}[{index}].resources.{part}")
    if len(variables := container.get("env") or ()) > 1:
        yield from _hidden_env(variables, f"{path}.{field}[{index}].env")
    if len(ports := container.get("ports") or ()) > 1:
        yield from _same_ports(ports, f"{path}.{field}[{index}].ports")


def _fractions(amounts: Part, path: str) -> Iterator[str]:
    """Bytes come in whole numbers; who asks for 100m of memory has meant something else."""
    for name in ("ephemeral-storage", "memory", "storage"):
        if (text := amounts.get(name)) is not None and (amount := parse_quantity(text)).nanos % NANO:
            yield f'{path}[{name}]: fractional byte value "{amount}" is invalid, must be an integer'


def _hidden_env(variables: Sequence[Part], path: str) -> Iterator[str]:
    seen = set()
    for index, variable in enumerate(variables):
        name, value = variable.get("name", ""), variable.get("value", "")
        if name in seen and f"$({name})" not in value:
            yield f'{path}[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
        seen.add(name)


def _same_ports(ports: Sequence[Part], path: str) -> Iterator[str]:
    for index, port in enumerate(ports):
        for earlier, other in enumerate(ports[:index]):
            if port.get("containerPort") != other.get("containerPort") or port.get("protocol") != other.get("protocol"):
                continue
            ours, theirs = _host_side(port), _host_side(other)
            if ours == theirs:
                yield f"{path}[{index}]: duplicate port definition with {path}[{earlier}]"
                break
            if _overlap(ours, theirs):
                yield f"{path}[{index}]: overlapping port definition with {path}[{earlier}]"
                break


def _host_side(port: Part) -> tuple[str, int]:
    return port.get("hostIP") or "", port.get("hostPort") or 0


def _overlap(ours: tuple[str, int], theirs: tuple[str, int]) -> bool:
    """Two host ports of one container port are two ports, unless one of them says less than the other."""
    if not ours[1] or not theirs[1]:
        return True
    return ours[1] == theirs[1] and ("" in (ours[0], theirs[0]) or ours[0] == theirs[0])


def _named_ports(spec: Part, path: str) -> Iterator[str]:
    """A name of several containers' ports: who selects by it finds the first."""
    seen: dict[str, str] = {}
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            if field == "initContainers" and container.get("restartPolicy") != "Always":
                continue
            for number, port in enumerate(container.get("ports") or ()):
                name, place = port.get("name"), f"{path}.{field}[{index}].ports[{number}]"
                if name and (first := seen.setdefault(name, place)) != place:
                    yield (
                        f'{place}: duplicate port name "{name}" with {first}, services and probes that select ports by '
                        f"name will use {first}"
                    )


def _same(items: Sequence[Part], field: str, path: str) -> Iterator[str]:
    seen = set()
    for index, item in enumerate(items):
        if item.get(field) in seen:
            yield f'{path}[{index}].{field}: duplicate {field} "{item.get(field)}"'
        seen.add(item.get(field))


def _same_secrets(secrets: Sequence[Part], path: str) -> Iterator[str]:
    seen = set()
    for index, secret in enumerate(secrets):
        name = secret.get("name", "")
        if not name:
            yield f'{path}[{index}]: invalid empty name ""'
        elif name in seen:
            yield f'{path}[{index}].name: duplicate name "{name}"'
        seen.add(name)


def claim_warnings(claim: Doc) -> list[str]:
    """Texts about a PersistentVolumeClaim."""
    texts = list(_claim_spec(claim["spec"], "spec"))
    if _OLD_CLASS in (claim["metadata"].get("annotations") or {}):
        texts.insert(
            0, f'metadata.annotations[{_OLD_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead'
        )
    return texts


def _claim_spec(spec: Part, path: str) -> Iterator[str]:
    for part in ("limits", "requests"):
        yield from _fractions((spec.get("resources") or {}).get(part) or {}, f"{path}.resources.{part}")


def volume_warnings(volume: Doc) -> list[str]:
    """Texts about a PersistentVolume."""
    spec, annotations, texts = volume["spec"], volume["metadata"].get("annotations") or {}, []
    if _OLD_CLASS in annotations:
        texts.append(
            f'metadata.annotations[{_OLD_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead'
        )
    if _OLD_MOUNTS in annotations:
        texts.append(
            f'metadata.annotations[{_OLD_MOUNTS}]: deprecated since v1.31; use "mountOptions" attribute instead'
        )
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        texts.append(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
            "approach is to use dynamic provisioning."
        )
    texts += [f"spec.{kind}: {_OLD_SOURCES[kind]}" for kind in spec if kind in _OLD_SOURCES]
    for number, term in enumerate(
        ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    ):
        texts += _node_term(term, f"spec.nodeAffinity.required.nodeSelectorTerms[{number}]")
    return texts
