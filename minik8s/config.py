"""What a cluster can be told. One frozen value, handed down from the composition root."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs

VERSION = "v1.36.2"
"""The Kubernetes version whose behaviour this is, as /version reports it."""

DEFAULT_CONTROLLERS = (
    "namespace",
    "garbagecollector",
    "serviceaccount",
    "root-ca-cert-publisher",
    "replicationcontroller",
    "replicaset",
    "deployment",
    "endpoint",
    "endpointslice",
    "disruption",
    "nodelifecycle",
)


@attrs.frozen(kw_only=True)
class ClusterConfig:
    """Options of a cluster; the defaults are a good sandbox on loopback.

    nodes           how many nodes to start
    runtime         "subprocess" runs real processes, "simulated" only pretends to, deterministically
    images          image name -> command line (an entrypoint) or argv, beside the built-in images
    host, port      where the API server listens; port 0 takes a free one; `serve=False` opens no socket
    tls             serve HTTPS with a CA of the cluster's own
    directory       where the cluster keeps its files; None makes a temporary directory and removes it
    seed            source of every name, UID and jitter; None draws one
    controllers     names of the controllers to run
    service_cidr    ClusterIPs come from here; with the proxy they must be addresses of this machine
    pod_cidr        pod addresses of the subprocess runtime
    freeze          stored documents refuse mutation with an error: on in tests, costs a copy a write
    """

    nodes: int = 1
    runtime: Literal["subprocess", "simulated"] = "subprocess"
    images: Mapping[str, str | tuple[str, ...]] = attrs.field(factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    serve: bool = True
    tls: bool = True
    directory: Path | None = None
    seed: int | None = None
    controllers: tuple[str, ...] = DEFAULT_CONTROLLERS
    scheduler: bool = True
    proxy: bool = True
    service_cidr: str = "127.96.0.0/12"
    pod_cidr: str = "127.64.0.0/10"
    node_port_range: tuple[int, int] = (30000, 32767)
    history: int = 10_000
    freeze: bool = False
