"""What a sandbox is told of a pod's names and of what it shares with its node."""

from pathlib import Path
from typing import Any

import pytest

from minik8s.kubelet.pod_dns import Resolver
from minik8s.kubelet.pod_network import fqdn, kernel_name, sandbox_config
from minik8s.kubelet.runtime.protocol import RuntimeFailure, SandboxConfig


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web-0", "namespace": "ns", "uid": "u"}, "spec": spec}


def config(**spec: Any) -> SandboxConfig:
    return sandbox_config(pod(**spec), Path("/x"), "10.96.0.10", Resolver())


@pytest.mark.parametrize(
    ("spec", "full", "kernel"),
    [
        ({}, "", "web-0"),
        ({"subdomain": "db"}, "web-0.db.ns.svc.cluster.local", "web-0"),
        ({"subdomain": "db", "hostname": "first"}, "first.db.ns.svc.cluster.local", "first"),
        ({"subdomain": "db", "hostnameOverride": "my.name"}, "", "my.name"),
        ({"setHostnameAsFQDN": True}, "", "web-0"),
        (
            {"setHostnameAsFQDN": True, "subdomain": "db"},
            "web-0.db.ns.svc.cluster.local",
            "web-0.db.ns.svc.cluster.local",
        ),
    ],
)
def test_names(spec: dict[str, Any], full: str, kernel: str) -> None:
    """Only a pod with a subdomain has a full name, and it is its host name if it says so."""
    assert (fqdn(pod(**spec)), kernel_name(pod(**spec))) == (full, kernel)


def test_a_full_name_may_be_too_long_for_a_host() -> None:
    """Linux knows 64 letters of it: the pod waits, with upstream's text."""
    name = f"web-0.{'d' * 60}.ns.svc.cluster.local"
    with pytest.raises(RuntimeFailure) as caught:
        config(setHostnameAsFQDN=True, subdomain="d" * 60)
    assert str(caught.value) == (
        f"failed to construct FQDN from pod hostname and cluster domain, FQDN {name} is too long"
        f" (64 characters is the max, {len(name)} characters requested)"
    )


def test_host_aliases() -> None:
    """Aliases reach the sandbox in their order."""
    aliases = [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}, {"ip": "::1"}]
    assert config(hostAliases=aliases).host_aliases == (("1.2.3.4", ("a", "b")), ("::1", ()))


def test_what_is_shared() -> None:
    """The host's namespaces and the pod's own parameters, by their names with dots."""
    sysctls = [
        {"name": "net/ipv4/ip_local_port_range", "value": "1 2"},
        {"name": "kernel.shm_rmid_forced", "value": "1"},
    ]
    told = config(hostPID=True, hostIPC=True, shareProcessNamespace=True, securityContext={"sysctls": sysctls})
    assert told.host_processes
    assert told.host_ipc
    assert told.share_processes
    assert told.sysctls == {"net.ipv4.ip_local_port_range": "1 2", "kernel.shm_rmid_forced": "1"}
    plain = config()
    assert not any((plain.host_processes, plain.host_ipc, plain.share_processes, plain.sysctls))
