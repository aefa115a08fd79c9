"""The files that a kubelet gives every pod: /etc/hosts, /etc/hostname and /etc/resolv.conf.

Upstream: pkg/kubelet/kubelet_pods.go (managedHostsFileContent) and pkg/kubelet/network/dns. They lie in `etc/` of the
pod's directory.
"""

from __future__ import annotations

from minik8s.kubelet.runtime.protocol import Sandbox

_LOCAL = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


def write_pod_files(sandbox: Sandbox) -> None:
    """Raises OSError."""
    directory = sandbox.config.directory / "etc"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "hosts").write_text(hosts(sandbox))
    (directory / "hostname").write_text(sandbox.config.hostname + "\n")
    (directory / "resolv.conf").write_text(sandbox.config.resolv_conf)


def hosts(sandbox: Sandbox) -> str:
    """The pod's names beside the local ones; with its node's network it has the node's name."""
    config = sandbox.config
    names = f"{config.fqdn}\t{config.fqdn.partition('.')[0]}" if config.fqdn else config.hostname
    kind = " (host network)" if config.host_network else ""
    text = f"# Kubernetes-managed hosts file{kind}.\n{_LOCAL}{sandbox.address}\t{names}\n"
    if config.host_aliases:
        lines = ("\t".join((address, *names)) + "\n" for address, names in config.host_aliases)
        text += "\n# Entries added by HostAliases.\n" + "".join(lines)
    return text
