"""Ownership through the scale subresource, there and back."""

from __future__ import annotations

from typing import Any

from minik8s.machinery.scalefields import to_parent, to_scale

REPLICAS = {"f:spec": {"f:replicas": {}}}


def entry(manager: str, fields: Any, version: str = "apps/v1", **more: str) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": version,
        "time": "2026-11-23T10:35:08Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


OWNER = entry("a", {"f:spec": {"f:paused": {}, "f:replicas": {}}})
OTHER = entry("b", {"f:spec": {"f:paused": {}}})


def test_there() -> None:
    """Only owners of the replicas are seen, with nothing but the Scale's own field and version."""
    assert to_scale([OWNER, OTHER]) == [entry("a", REPLICAS, "autoscaling/v1")]
    path = {"f:spec": {"f:workers": {}}}
    assert to_scale([entry("c", path)], path) == [entry("c", REPLICAS, "autoscaling/v1")]


def test_back() -> None:
    """Who kept the Scale's field keeps the replicas; who lost it loses only them; who is new owns only them."""
    assert to_parent(to_scale([OWNER, OTHER]), [OWNER, OTHER], "apps/v1") == [OWNER, OTHER]
    taken = entry("hpa", REPLICAS, "autoscaling/v1", subresource="scale")
    assert to_parent([taken], [OWNER, OTHER], "apps/v1") == [
        entry("a", {"f:spec": {"f:paused": {}}}),
        OTHER,
        entry("hpa", REPLICAS, subresource="scale"),
    ]
