"""The well-known labels of nodes that say where they are. Upstream: k8s.io/api core/v1 `well_known_labels.go`."""

from __future__ import annotations

from typing import Final

HOSTNAME: Final = "kubernetes.io/hostname"
ZONE: Final = "topology.kubernetes.io/zone"
REGION: Final = "topology.kubernetes.io/region"
