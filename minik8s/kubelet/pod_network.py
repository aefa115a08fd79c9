"""What a sandbox is told of a pod's names and of what it shares with its node.

Upstream: pkg/kubelet/kubelet_pods.go (GeneratePodHostNameAndDomain) and kuberuntime_sandbox.go.
"""

from __future__ import annotations

from pathlib import Path

from minik8s.api.sysctls import with_dots
from minik8s.kubelet.pod_dns import DOMAIN, Resolver, pod_resolver
from minik8s.kubelet.pod_spec import hostname
from minik8s.kubelet.runtime.protocol import RuntimeFailure, SandboxConfig
from minik8s.machinery.meta import Doc, annotations_of, name_of, namespace_of, uid_of

MAX_KERNEL_NAME = 64
"""Letters of a host name, as far as Linux is concerned."""


def sandbox_config(pod: Doc, directory: Path, cluster_dns: str, node: Resolver) -> SandboxConfig:
    """The sandbox that a pod needs. `cluster_dns` is the address of the cluster's DNS, "" when it has none.

    Raises RuntimeFailure for a name that no host can have.
    """
    spec = pod["spec"]
    security = spec.get("securityContext") or {}
    return SandboxConfig(
        namespace=namespace_of(pod),
        name=name_of(pod),
        uid=uid_of(pod),
        directory=directory,
        hostname=kernel_name(pod),
        annotations=annotations_of(pod),
        host_network=bool(spec.get("hostNetwork")),
        fqdn=fqdn(pod),
        host_aliases=tuple((a["ip"], tuple(a.get("hostnames") or ())) for a in spec.get("hostAliases") or ()),
        resolv_conf=pod_resolver(pod, cluster_dns, node).text(),
        share_processes=bool(spec.get("shareProcessNamespace")),
        host_processes=bool(spec.get("hostPID")),
        host_ipc=bool(spec.get("hostIPC")),
        sysctls={with_dots(entry["name"]): entry["value"] for entry in security.get("sysctls") or ()},
    )


def fqdn(pod: Doc) -> str:
    """The full name that a pod with a subdomain has; "" for others, and for one whose host name is overridden."""
    spec = pod["spec"]
    subdomain = spec.get("subdomain")
    if not subdomain or spec.get("hostnameOverride"):
        return ""
    return f"{hostname(pod)}.{subdomain}.{namespace_of(pod)}.svc.{DOMAIN}"


def kernel_name(pod: Doc) -> str:
    """What hostname(1) says in the pod. Raises RuntimeFailure when it is too long."""
    whole = fqdn(pod)
    if not pod["spec"].get("setHostnameAsFQDN") or not whole:
        return hostname(pod)
    if len(whole) > MAX_KERNEL_NAME:
        raise RuntimeFailure(
            "FailedCreatePodSandBox",
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {whole} is too long"
            f" ({MAX_KERNEL_NAME} characters is the max, {len(whole)} characters requested)",
        )
    return whole
