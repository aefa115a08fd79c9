"""A pod's names: what a sandbox is told of its host name, /etc/hosts and /etc/resolv.conf.

Upstream: pkg/kubelet/kubelet_pods.go (GeneratePodHostNameAndDomain) and pkg/kubelet/network/dns/dns.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from minik8s.kubelet.pod_spec import hostname
from minik8s.kubelet.runtime.protocol import SandboxConfig
from minik8s.machinery.meta import Doc, annotations_of, name_of, namespace_of, uid_of

DOMAIN = "cluster.local"
MAX_NAMESERVERS = 3
MAX_SEARCHES = 32


def sandbox_config(pod: Doc, directory: Path, cluster_dns: str) -> SandboxConfig:
    """The sandbox that a pod needs. `cluster_dns` is the address of the cluster's DNS, "" when it has none."""
    spec = pod["spec"]
    return SandboxConfig(
        namespace=namespace_of(pod),
        name=name_of(pod),
        uid=uid_of(pod),
        directory=directory,
        hostname=hostname(pod),
        annotations=annotations_of(pod),
        host_network=bool(spec.get("hostNetwork")),
        fqdn=fqdn(pod),
        host_aliases=tuple((a["ip"], tuple(a.get("hostnames") or ())) for a in spec.get("hostAliases") or ()),
        resolv_conf=resolv_conf(pod, cluster_dns),
        share_processes=bool(spec.get("shareProcessNamespace")),
        host_processes=bool(spec.get("hostPID")),
    )


def fqdn(pod: Doc) -> str:
    """The full name that a pod with a subdomain has; "" for others."""
    subdomain = pod["spec"].get("subdomain")
    return f"{hostname(pod)}.{subdomain}.{namespace_of(pod)}.svc.{DOMAIN}" if subdomain else ""


def resolv_conf(pod: Doc, cluster_dns: str) -> str:
    """/etc/resolv.conf by dnsPolicy and dnsConfig; "" for the node's own."""
    spec = pod["spec"]
    policy, config = spec.get("dnsPolicy") or "ClusterFirst", spec.get("dnsConfig") or {}
    if policy == "ClusterFirst" and spec.get("hostNetwork"):
        policy = "Default"
    by_cluster = policy != "None" and policy != "Default" and bool(cluster_dns)
    if not by_cluster and policy != "None" and not config:
        return ""
    servers, searches, options = [], [], {}
    if by_cluster:
        servers, options = [cluster_dns], {"ndots": "5"}
        searches = [f"{namespace_of(pod)}.svc.{DOMAIN}", f"svc.{DOMAIN}", DOMAIN]
    servers += config.get("nameservers") or ()
    searches += config.get("searches") or ()
    options |= {option["name"]: option.get("value") or "" for option in config.get("options") or ()}
    lines = _line("search", list(dict.fromkeys(searches))[:MAX_SEARCHES])
    for server in list(dict.fromkeys(servers))[:MAX_NAMESERVERS]:
        lines += _line("nameserver", [server])
    return lines + _line("options", [f"{name}:{value}" if value else name for name, value in options.items()])


def _line(keyword: str, values: Iterable[str]) -> str:
    text = " ".join(values)
    return f"{keyword} {text}\n" if text else ""
