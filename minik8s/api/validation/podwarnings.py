"""What is legal in a pod spec but probably not meant. Upstream: pkg/api/pod/warnings.go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Part = Mapping[str, Any]

_OLD_NODE_LABELS = {
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}


def pod_warnings(spec: Part, path: str) -> list[str]:
    """Texts for Warning headers about a pod spec that stands at `path`."""
    warnings: list[str] = []
    for key in spec.get("nodeSelector") or ():
        if key in _OLD_NODE_LABELS:
            since = (
                'deprecated since v1.17; use "'
                if "instance" in key or "domain" in key
                else 'deprecated since v1.14; use "'
            )
            warnings.append(f'{path}.nodeSelector[{key}]: {since}{_OLD_NODE_LABELS[key]}" instead')
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            place = f"{path}.{field}[{index}]"
            warnings += _hidden_env(container.get("env") or (), f"{place}.env")
            warnings += _same_ports(container.get("ports") or (), f"{place}.ports")
    if (seconds := spec.get("terminationGracePeriodSeconds")) is not None and seconds < 0:
        warnings.append(
            f"{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        )
    warnings += _same_secrets(spec.get("imagePullSecrets") or (), f"{path}.imagePullSecrets")
    return warnings


def _hidden_env(variables: Sequence[Part], path: str) -> list[str]:
    seen: dict[str, str] = {}
    warnings = []
    for index, variable in enumerate(variables):
        name, value = variable.get("name", ""), variable.get("value", "")
        if name in seen and f"$({name})" not in value:
            text = f'{path}[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
            warnings.append(text)
        seen[name] = path
    return warnings


def _same_ports(ports: Sequence[Part], path: str) -> list[str]:
    seen: dict[tuple[Any, ...], int] = {}
    warnings = []
    for index, port in enumerate(ports):
        key = (port.get("containerPort"), port.get("protocol"), port.get("hostIP", ""), port.get("hostPort", 0))
        if key in seen:
            warnings.append(f"{path}[{index}]: duplicate port definition with {path}[{seen[key]}]")
        seen.setdefault(key, index)
    return warnings


def _same_secrets(secrets: Sequence[Part], path: str) -> list[str]:
    seen = set()
    warnings = []
    for index, secret in enumerate(secrets):
        name = secret.get("name", "")
        if not name:
            warnings.append(f'{path}[{index}]: invalid empty name ""')
        elif name in seen:
            warnings.append(f'{path}[{index}].name: duplicate name "{name}"')
        seen.add(name)
    return warnings
