"""Cluster DNS: names for Services and pods, as CoreDNS gives them (specification 1.1.0).

    records     name and type -> answer, from Services and EndpointSlices; pure
    messages    bytes to query, answer to bytes; no I/O
    outside     this machine's resolver, for names that are not the cluster's
    server      messages in, messages out, over UDP and TCP

It knows nothing but the caches of an API server. Messages are dnspython's, which is imported when the server starts.
Left out: zone transfers, DNSSEC, a cache, and CoreDNS' own configuration (a ConfigMap `coredns` is not read).
"""

from __future__ import annotations

from ipaddress import ip_network

from minik8s.machinery.meta import Doc

ADDRESS_INDEX = 10
MACHINE_NAMES = ("host.minikube.internal", "host.docker.internal")
"""Names under which pods of other local clusters find the machine; they do so here."""
NAME, NAMESPACE = "kube-dns", "kube-system"
"""The Service by which the server is found."""
DNS_POD: Doc = {
    "metadata": {"name": "coredns", "namespace": NAMESPACE, "uid": "coredns", "labels": {"k8s-app": NAME}},
    "spec": {
        "containers": [
            {
                "name": "coredns",
                "ports": [
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
                ],
            }
        ]
    },
}
"""What there would be upstream, for those who know cluster DNS by its labels and ports."""


def dns_address(service_cidr: str) -> str:
    """The ClusterIP of the DNS Service: the tenth address, as kubeadm has it."""
    return str(ip_network(service_cidr)[ADDRESS_INDEX])
