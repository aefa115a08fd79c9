"""What a pod of one operating system may not ask for, and Windows' own options.

Upstream: validateOS, validateWindows and what they call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minik8s.api.validation.common import Causes, named, one_of
from minik8s.machinery import names
from minik8s.machinery.field import forbidden, invalid, too_long

Part = Mapping[str, Any]

_LINUX_ONLY_POD = (
    "appArmorProfile", "seLinuxOptions", "hostUsers", "hostPID", "hostIPC", "seccompProfile", "fsGroup",
    "fsGroupChangePolicy", "sysctls", "shareProcessNamespace", "runAsUser", "runAsGroup", "supplementalGroups",
    "supplementalGroupsPolicy", "seLinuxChangePolicy",
)  # fmt: skip
_OUTSIDE_THE_CONTEXT = frozenset({"hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"})
_LINUX_ONLY = (
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged",
    "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup",
)  # fmt: skip
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_MAX_GMSA = 64 * 1024


def validate_os(spec: Part, path: str) -> Causes:
    """A pod that says which system it is for."""
    system = spec["os"].get("name")
    yield from one_of(system, f"{path}.os.name", ("linux", "windows"))
    if system == "linux":
        for security, place in _contexts(spec, path):
            if security.get("windowsOptions") is not None:
                yield forbidden(f"{place}.windowsOptions", "windows options cannot be set for a linux pod")
    elif system == "windows":
        yield from _windows(spec, path)


def _contexts(spec: Part, path: str) -> Iterator[tuple[Part, str]]:
    """The security contexts of a pod, its own first."""
    if security := spec.get("securityContext"):
        yield security, f"{path}.securityContext"
    yield from _container_contexts(spec, path)


def _container_contexts(spec: Part, path: str) -> Iterator[tuple[Part, str]]:
    for field in _CONTAINERS:
        for index, container in enumerate(spec.get(field) or ()):
            if security := container.get("securityContext"):
                yield security, f"{path}.{field}[{index}].securityContext"


def _windows(spec: Part, path: str) -> Causes:
    own = spec.get("securityContext") or {}
    for field in _LINUX_ONLY_POD:
        outside = field in _OUTSIDE_THE_CONTEXT
        if (spec if outside else own).get(field) not in (
            None,
            [],
            *((False,) if field in ("hostPID", "hostIPC") else ()),
        ):
            yield forbidden(f"{path}.{'' if outside else 'securityContext.'}{field}", "cannot be set for a windows pod")
    for security, place in _container_contexts(spec, path):
        for field in _LINUX_ONLY:
            if security.get(field) is not None:
                yield forbidden(f"{place}.{field}", "cannot be set for a windows pod")


def validate_windows_options(options: Part, path: str) -> Causes:
    """A WindowsSecurityContextOptions."""
    if (name := options.get("gmsaCredentialSpecName")) is not None:
        yield from named(name, f"{path}.gmsaCredentialSpecName", names.dns1123_subdomain)
    if (spec := options.get("gmsaCredentialSpec")) is not None:
        if not spec:
            yield invalid(f"{path}.gmsaCredentialSpec", spec, "gmsaCredentialSpec cannot be an empty string")
        elif len(spec.encode()) > _MAX_GMSA:
            yield too_long(f"{path}.gmsaCredentialSpec", _MAX_GMSA)
    if options.get("runAsUserName") == "":
        yield invalid(f"{path}.runAsUserName", "", "runAsUserName cannot be an empty string")


def validate_host_process(spec: Part, path: str) -> Causes:
    """Containers on the Windows host: all of them or none, and in the host's network."""
    pod = ((spec.get("securityContext") or {}).get("windowsOptions") or {}).get("hostProcess")
    own = {place: _host_process(security) for security, place in _container_contexts(spec, path)}
    if not pod and not any(own.values()):
        return
    for place, value in own.items():
        if value is not None and pod is not None and value != pod:
            detail = f"pod hostProcess value must be identical if both are specified, was {str(pod).lower()}"
            yield invalid(f"{place}.windowsOptions.hostProcess", value, detail)
    count = sum(len(spec.get(field) or ()) for field in _CONTAINERS)
    inheriting = count - sum(value is not None for value in own.values())
    if not all(value for value in own.values() if value is not None) or (inheriting and not pod):
        detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        yield invalid(path, "", detail)
    if not spec.get("hostNetwork"):
        detail = "hostNetwork must be true if pod contains any hostProcess containers"
        yield invalid(f"{path}.hostNetwork", False, detail)


def _host_process(security: Part) -> bool | None:
    chosen: bool | None = (security.get("windowsOptions") or {}).get("hostProcess")
    return chosen
