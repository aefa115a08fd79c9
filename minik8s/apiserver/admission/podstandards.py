"""The pod security standards: which fields of a pod each level forbids or demands, and how violations are told.

Pure. Each check looks at one property and returns (reason, detail) or None; a level is a list of checks in the order
in which upstream reports them. A namespace may pin an older version: then checks that came later do not count, and
lists that have grown since are as short as they were. Upstream: k8s.io/pod-security-admission/policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from minik8s.api.sysctls import SAFE_SYSCTLS

Part = Mapping[str, Any]
Finding = tuple[str, str] | None
Check = Callable[[Part, list[Part]], Finding]
"""From a pod spec and all its containers."""

LEVELS = ("privileged", "baseline", "restricted")
_BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
LATEST = 1 << 16
"""The minor version that "latest" stands for."""
_SELINUX_TYPES: Mapping[str, int] = {
    "": 0,
    "container_t": 0,
    "container_init_t": 0,
    "container_kvm_t": 0,
    "container_engine_t": 31,
}
_RESTRICTED_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SECCOMP = ("RuntimeDefault", "Localhost")
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"


def violations(level: str, pod: Part, minor: int = LATEST) -> str:
    """What keeps a pod (or pod template) from meeting the level: `reason (detail), …`; "" when nothing does."""
    return ", ".join(f"{reason} ({detail})" if detail else reason for reason, detail in _findings(level, pod, minor))


def reasons(level: str, pod: Part, minor: int = LATEST) -> str:
    """The same without details."""
    return ", ".join(reason for reason, _ in _findings(level, pod, minor))


def _findings(level: str, pod: Part, minor: int) -> list[tuple[str, str]]:
    checks = _LEVELS.get(level, ())
    if not checks:
        return []
    spec = pod["spec"]
    containers = [c for field in ("initContainers", "containers", "ephemeralContainers") for c in spec.get(field) or ()]
    windows = minor >= _WINDOWS_SINCE and (spec.get("os") or {}).get("name") == "windows"
    spared = _NOT_ON_WINDOWS if windows else frozenset[Check]()
    if spec.get("hostUsers") is False and minor >= _USER_NAMESPACES_SINCE:
        spared |= _SPARED_IN_USER_NAMESPACES[level]
    found = [finding] if (finding := _app_armor_annotations(pod)) else []
    for check in checks:
        if minor < _SINCE.get(check, 0) or check in spared:
            continue
        if versioned := _VERSIONED.get(check):
            finding = versioned(spec, containers, minor)
        else:
            finding = check(spec, containers)
        if finding:
            found.append(finding)
    return found


def _security(part: Part) -> Part:
    return part.get("securityContext") or {}


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _names(noun: str, parts: list[Part]) -> str:
    """`container "a"` or `containers "a", "b"`."""
    return f"{noun if len(parts) == 1 else noun + 's'} {_quoted(part['name'] for part in parts)}"


def _host_namespaces(spec: Part, containers: list[Part]) -> Finding:
    shared = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return ("host namespaces", ", ".join(shared)) if shared else None


def _host_path_volumes(spec: Part, containers: list[Part]) -> Finding:
    found = [volume for volume in spec.get("volumes") or () if "hostPath" in volume]
    return ("hostPath volumes", _names("volume", found)) if found else None


def _host_ports(spec: Part, containers: list[Part]) -> Finding:
    found = [c for c in containers if any(port.get("hostPort") for port in c.get("ports") or ())]
    if not found:
        return None
    ports = sorted({port["hostPort"] for c in found for port in c["ports"] if port.get("hostPort")})
    verb = "uses" if len(found) == 1 else "use"
    noun = "hostPort" if len(ports) == 1 else "hostPorts"
    return "hostPort", f"{_names('container', found)} {verb} {noun} {', '.join(map(str, ports))}"


def _host_probes(spec: Part, containers: list[Part]) -> Finding:
    """Handlers that would make the node call other hosts."""
    hosts = {
        c["name"]: found for c in containers if (found := {host for part in _handlers(c) for host in _hosts(part)})
    }
    if not hosts:
        return None
    every = sorted(set().union(*hosts.values()))
    who: list[Part] = [{"name": name} for name in sorted(hosts)]
    verb = "uses" if len(who) == 1 else "use"
    noun = "probe or lifecycle host" if len(every) == 1 else "probe or lifecycle hosts"
    return "probe or lifecycle host", f"{_names('container', who)} {verb} {noun} {_quoted(every)}"


def _handlers(container: Part) -> list[Part]:
    probes = [container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
    hooks = [(container.get("lifecycle") or {}).get(name) for name in ("postStart", "preStop")]
    return [part for part in (*probes, *hooks) if isinstance(part, Mapping)]


def _hosts(handler: Part) -> list[str]:
    hosts = [(handler.get(kind) or {}).get("host") for kind in ("httpGet", "tcpSocket")]
    return [host for host in hosts if host]


def _privileged(spec: Part, containers: list[Part]) -> Finding:
    found = [c for c in containers if _security(c).get("privileged")]
    return (
        ("privileged", f"{_names('container', found)} must not set securityContext.privileged=true") if found else None
    )


def _proc_mount(spec: Part, containers: list[Part]) -> Finding:
    found = [c for c in containers if _security(c).get("procMount") not in (None, "Default")]
    if not found:
        return None
    kinds = _quoted(sorted({_security(c)["procMount"] for c in found}))
    return "procMount", f"{_names('container', found)} must not set securityContext.procMount to {kinds}"


def _capabilities_baseline(spec: Part, containers: list[Part]) -> Finding:
    detail = _added_capabilities(containers, _BASELINE_CAPABILITIES)
    return ("non-default capabilities", detail) if detail else None


def _added_capabilities(containers: list[Part], allowed: frozenset[str]) -> str:
    def added(container: Part) -> set[str]:
        return set((_security(container).get("capabilities") or {}).get("add") or ()) - allowed

    found = [c for c in containers if added(c)]
    if not found:
        return ""
    listed = _quoted(sorted(set().union(*map(added, found))))
    return f"{_names('container', found)} must not include {listed} in securityContext.capabilities.add"


def _capabilities_restricted(spec: Part, containers: list[Part]) -> Finding:
    keeping = [c for c in containers if "ALL" not in ((_security(c).get("capabilities") or {}).get("drop") or ())]
    details = []
    if keeping:
        details.append(f'{_names("container", keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if added := _added_capabilities(containers, frozenset({"NET_BIND_SERVICE"})):
        details.append(added)
    return ("unrestricted capabilities", "; ".join(details)) if details else None


def _app_armor(spec: Part, containers: list[Part]) -> Finding:
    who = _setters(spec, containers, lambda s: (s.get("appArmorProfile") or {}).get("type") == "Unconfined")
    return ("forbidden AppArmor profile", f'{who} must not set AppArmor profile type to "Unconfined"') if who else None


def _app_armor_annotations(pod: Part) -> Finding:
    """The same in the words of old manifests."""
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    found = sorted(
        f'{key}="{value}"'
        for key, value in annotations.items()
        if key.startswith(_APP_ARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    )
    return (f"forbidden AppArmor profile{'s' if len(found) > 1 else ''}", ", ".join(found)) if found else None


def _setters(spec: Part, containers: list[Part], is_bad: Callable[[Part], bool]) -> str:
    """Who sets something in a security context: `pod`, `container "a"`, or both."""
    found = [c for c in containers if is_bad(_security(c))]
    who = ["pod"] if is_bad(_security(spec)) else []
    if found:
        who.append(_names("container", found))
    return " and ".join(who)


def _selinux(spec: Part, containers: list[Part], minor: int = LATEST) -> Finding:
    allowed = {name for name, since in _SELINUX_TYPES.items() if minor >= since}

    def options(security: Part) -> Part:
        return security.get("seLinuxOptions") or {}

    def is_bad(security: Part) -> bool:
        chosen = options(security)
        return chosen.get("type", "") not in allowed or bool(chosen.get("user") or chosen.get("role"))

    who = _setters(spec, containers, is_bad)
    if not who:
        return None
    everybody = [_security(spec), *map(_security, containers)]
    kinds = sorted({options(s).get("type", "") for s in everybody} - allowed)
    details = []
    if kinds:
        details.append(f"{'type' if len(kinds) == 1 else 'types'} {_quoted(kinds)}")
    for field in ("user", "role"):
        if any(options(s).get(field) for s in everybody):
            details.append(f"{field} may not be set")
    return "seLinuxOptions", f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(details)}"


def _seccomp_type(security: Part) -> str | None:
    return (security.get("seccompProfile") or {}).get("type")


def _seccomp_baseline(spec: Part, containers: list[Part]) -> Finding:
    who = _setters(spec, containers, lambda s: _seccomp_type(s) == "Unconfined")
    detail = f'{who} must not set securityContext.seccompProfile.type to "Unconfined"'
    return ("seccompProfile", detail) if who else None


def _seccomp_restricted(spec: Part, containers: list[Part]) -> Finding:
    if forbidden := _seccomp_baseline(spec, containers):
        return forbidden
    if _seccomp_type(_security(spec)) in _SECCOMP:
        return None
    unset = [c for c in containers if _seccomp_type(_security(c)) not in _SECCOMP]
    if not unset:
        return None
    detail = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return "seccompProfile", f"pod or {_names('container', unset)} {detail}"


def _sysctls(spec: Part, containers: list[Part], minor: int = LATEST) -> Finding:
    wanted = [s.get("name", "") for s in _security(spec).get("sysctls") or ()]
    found = [name for name in wanted if SAFE_SYSCTLS.get(name, LATEST + 1) > minor]
    return ("forbidden sysctls", ", ".join(found)) if found else None


def _host_process(spec: Part, containers: list[Part]) -> Finding:
    who = _setters(spec, containers, lambda s: bool((s.get("windowsOptions") or {}).get("hostProcess")))
    return ("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true") if who else None


def _privilege_escalation(spec: Part, containers: list[Part]) -> Finding:
    found = [c for c in containers if _security(c).get("allowPrivilegeEscalation") is not False]
    detail = "must set securityContext.allowPrivilegeEscalation=false"
    return ("allowPrivilegeEscalation != false", f"{_names('container', found)} {detail}") if found else None


def _restricted_volumes(spec: Part, containers: list[Part]) -> Finding:
    found = [v for v in spec.get("volumes") or () if not _RESTRICTED_VOLUMES & set(v)]
    if not found:
        return None
    kinds = sorted({key for volume in found for key in volume if key != "name"})
    verb = "uses" if len(found) == 1 else "use"
    noun = "restricted volume type" if len(kinds) == 1 else "restricted volume types"
    return "restricted volume types", f"{_names('volume', found)} {verb} {noun} {_quoted(kinds)}"


def _run_as_non_root(spec: Part, containers: list[Part]) -> Finding:
    reason = "runAsNonRoot != true"
    pod_says = _security(spec).get("runAsNonRoot")
    wrong = [c for c in containers if _security(c).get("runAsNonRoot") is False]
    unset = [c for c in containers if _security(c).get("runAsNonRoot") is None]
    who = ["pod"] if pod_says is False and (unset or wrong) else []
    if wrong:
        who.append(_names("container", wrong))
    if who:
        return reason, f"{' and '.join(who)} must not set securityContext.runAsNonRoot=false"
    if unset and not pod_says:
        return reason, f"pod or {_names('container', unset)} must set securityContext.runAsNonRoot=true"
    return None


def _run_as_user(spec: Part, containers: list[Part]) -> Finding:
    who = _setters(spec, containers, lambda s: s.get("runAsUser") == 0)
    return ("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


_SHARED_FIRST: tuple[Check, ...] = (_app_armor,)
_SHARED_HOST: tuple[Check, ...] = (_host_ports, _host_probes, _privileged, _proc_mount, _selinux)
_SHARED_LAST: tuple[Check, ...] = (_sysctls, _host_process)
_LEVELS: Mapping[str, tuple[Check, ...]] = {
    "baseline": (
        *_SHARED_FIRST,
        _capabilities_baseline,
        _host_namespaces,
        _host_path_volumes,
        *_SHARED_HOST,
        _seccomp_baseline,
        *_SHARED_LAST,
    ),
    "restricted": (
        *_SHARED_FIRST,
        _host_namespaces,
        *_SHARED_HOST,
        *_SHARED_LAST,
        _privilege_escalation,
        _capabilities_restricted,
        _restricted_volumes,
        _run_as_non_root,
        _run_as_user,
        _seccomp_restricted,
    ),
}
_SINCE: Mapping[Check, int] = {
    _privilege_escalation: 8,
    _seccomp_baseline: 19,
    _seccomp_restricted: 19,
    _capabilities_restricted: 22,
    _run_as_user: 23,
    _host_probes: 34,
}
"""The minor version that brought a check; the others have been there from the first."""
_WINDOWS_SINCE = 25
_NOT_ON_WINDOWS = frozenset({_privilege_escalation, _capabilities_restricted, _seccomp_restricted})
_USER_NAMESPACES_SINCE = 35
_SPARED_IN_USER_NAMESPACES: Mapping[str, frozenset[Check]] = {
    "baseline": frozenset({_proc_mount}),
    "restricted": frozenset({_run_as_non_root, _run_as_user}),
}
"""A root that is nobody outside is no root."""
_VERSIONED: Mapping[Check, Callable[[Part, list[Part], int], Finding]] = {_selinux: _selinux, _sysctls: _sysctls}
