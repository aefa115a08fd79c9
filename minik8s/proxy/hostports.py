"""The host's ports that pods ask for: frontends of the same kind as a Service's, with one endpoint. Pure.

Upstream leaves them to the container runtime's network plug-in (CNI `portmap`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from minik8s.api.pods import ANY_ADDRESS, phase_of, running_containers
from minik8s.machinery.meta import Doc, name_of, namespace_of
from minik8s.proxy.servicemap import Endpoint, Frontend, ServiceMap, ServicePort

_EVERY_ADDRESS = ("", ANY_ADDRESS, "::")


def has_host_ports(pod: Doc, *, beside: bool) -> bool:
    """Whether a pod asks for any that are not its own anyway, because it is in the host's network.

    `beside` this machine's network is that of a node where pods have networks of their own, so there it asks.
    """
    spec = pod["spec"]
    return (beside or not spec.get("hostNetwork")) and any(
        port.get("hostPort") for container in running_containers(spec) for port in container.get("ports") or ()
    )


def frontends_of_pod(pod: Doc, machine: Collection[str], *, beside: bool) -> ServiceMap:
    """Where a pod answers on its host while it runs: at the addresses of the machine, and `beside` them its node's."""
    result: ServiceMap = {}
    status = pod.get("status") or {}
    address = status.get("podIP")
    if not address or phase_of(pod) != "Running" or not has_host_ports(pod, beside=beside):
        return result
    every = [*machine, status["hostIP"]] if beside and status.get("hostIP") not in (None, address) else machine
    for container in running_containers(pod["spec"]):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                served = _served(pod, port, address)
                wanted = port.get("hostIP") or ""
                for host in every if wanted in _EVERY_ADDRESS else (wanted,):
                    if host != address:
                        result[Frontend(port.get("protocol") or "TCP", host, port["hostPort"])] = served
    return result


def _served(pod: Doc, port: Any, address: str) -> ServicePort:
    endpoint = Endpoint(address, port["containerPort"])
    return ServicePort(
        namespace_of(pod), name_of(pod), port.get("name") or "", port["hostPort"], "HostPort", (endpoint,)
    )
