"""What a cluster is told: values that cannot be are refused by name."""

from __future__ import annotations

import re
from typing import Any

import pytest

from minik8s.config import ClusterConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nodes": -1}, "'nodes' must be a whole number from 0, not -1"),
        ({"nodes": "3"}, "'nodes' must be a whole number from 0, not '3'"),
        ({"nodes": 1.5}, "'nodes' must be a whole number from 0, not 1.5"),
        ({"nodes": True}, "'nodes' must be a whole number from 0, not True"),
        ({"port": 65536}, "'port' must be a whole number from 0 to 65535, not 65536"),
        ({"port": 8443, "serve": False}, "'port' needs serve=True"),
        ({"client_ca": "ca.pem", "tls": False}, "'client_ca' needs tls=True"),
        ({"dns_port": 53}, "'dns_port' needs dns=True"),
        ({"audit_events": -1}, "'audit_events' must be a whole number from 0, not -1"),
        ({"max_requests_inflight": "many"}, "'max_requests_inflight' must be a whole number from 0, not 'many'"),
        ({"runtime": "docker"}, "'runtime' must be one of 'subprocess', 'simulated', 'sandbox', not 'docker'"),
        ({"images": ["a"]}, "'images' must map names to commands, not be ['a']"),
        ({"images": {"a": 5}}, "'images': the command of 'a' must be a line or a sequence of words, not 5"),
        ({"images": {"a": (1,)}}, "'images': the command of 'a' must be a line or a sequence of words, not (1,)"),
    ],
)
def test_values_that_cannot_be(options: dict[str, Any], message: str) -> None:
    """One clear sentence that names the option and the value, for wrong types as for wrong values."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ClusterConfig(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pod_cidr": "10.9.0.0/23"}, "'pod_cidr' must have at least 1024 addresses"),
        ({"nodes": 126}, "'nodes' must be at most 125"),
    ],
)
def test_a_sandbox_has_room(options: dict[str, Any], said: str) -> None:
    """Nodes and the way outside have their place in the pods' network; too little is refused."""
    with pytest.raises(ValueError, match=said):
        ClusterConfig(runtime="sandbox", **options)
    ClusterConfig(runtime="sandbox", pod_cidr="10.9.0.0/22", nodes=125)
