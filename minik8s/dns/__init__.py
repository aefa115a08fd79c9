"""Cluster DNS: names for Services and pods, as CoreDNS gives them (specification 1.1.0).

    records     name and type -> answer, from Services and EndpointSlices; pure
    server      messages in, messages out, over UDP and TCP

It knows nothing but the caches of an API server. Messages are dnspython's, which is imported when the server starts.
Left out: AAAA records (the cluster has one family), zone transfers, DNSSEC, and recursion beyond what this machine's
own resolver answers for names outside of the cluster.
"""

from __future__ import annotations

from ipaddress import ip_network

ADDRESS_INDEX = 10


def dns_address(service_cidr: str) -> str:
    """The ClusterIP of the DNS Service: the tenth address, as kubeadm has it."""
    return str(ip_network(service_cidr)[ADDRESS_INDEX])
