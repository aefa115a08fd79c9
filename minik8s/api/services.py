"""What Services, EndpointSlices and those who read them agree on."""

from __future__ import annotations

from minik8s.machinery.meta import Doc, labels_of, namespace_of

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


def by_service(slice_: Doc) -> tuple[str, ...]:
    """The index of EndpointSlices by the Service they belong to, as namespace/name."""
    name = labels_of(slice_).get(SERVICE_NAME_LABEL)
    return (f"{namespace_of(slice_)}/{name}",) if name else ()
