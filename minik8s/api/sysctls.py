"""Kernel parameters that a pod may set for itself (`securityContext.sysctls`), because they touch nobody else.

Upstream: pkg/kubelet/sysctl, and the pod security standards, which came to allow them one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

SAFE_SYSCTLS: Mapping[str, int] = {
    "kernel.shm_rmid_forced": 0,
    "net.ipv4.ip_local_port_range": 0,
    "net.ipv4.ip_unprivileged_port_start": 0,
    "net.ipv4.ping_group_range": 0,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_fin_timeout": 29,
    "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
}
"""Each with the minor version since which the standards allow it."""


def with_dots(name: str) -> str:
    """A name's form with dots: `net/ipv4/conf/eth0.1/x` is `net.ipv4.conf.eth0/1.x` (sysctl.d(5))."""
    first = next((letter for letter in name if letter in "./"), ".")
    return name if first == "." else name.translate(str.maketrans("./", "/."))


def namespace_of_sysctl(name: str) -> Literal["ipc", "net", ""]:
    """The kind of namespace that a parameter belongs to, by its name with dots."""
    if name == "kernel.sem" or name.startswith(("kernel.shm", "kernel.msg", "fs.mqueue.")):
        return "ipc"
    return "net" if name.startswith("net.") else ""
