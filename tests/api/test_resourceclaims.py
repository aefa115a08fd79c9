"""Which claims a pod has: those that its spec names, those made from templates, and that for its extended resources."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resourceclaims import claim_names, may_be_devices, uses_claims


@pytest.mark.parametrize(
    ("references", "status", "names", "uses"),
    [
        ([], {}, [], False),
        ([{"name": "a", "resourceClaimName": "x"}], {}, ["x"], True),
        ([{"name": "a", "resourceClaimTemplateName": "t"}], {}, [], True),
        (
            [{"name": "a", "resourceClaimTemplateName": "t"}],
            {"resourceClaimStatuses": [{"name": "a", "resourceClaimName": "made"}]},
            ["made"],
            True,
        ),
        ([], {"extendedResourceClaimStatus": {"resourceClaimName": "gpus", "requestMappings": []}}, ["gpus"], True),
    ],
)
def test_claims_of_a_pod(references: Any, status: Any, names: list[str], uses: bool) -> None:
    """A claim that has not been made yet has no name, but the pod will use it."""
    pod: Any = {"metadata": {"name": "p", "namespace": "n"}, "spec": {"resourceClaims": references}, "status": status}
    assert list(claim_names(pod)) == names
    assert uses_claims(pod) == uses


@pytest.mark.parametrize(
    ("resource", "may"),
    [
        ("example.com/gpu", True),
        ("deviceclass.resource.kubernetes.io/gpu", True),
        ("kubernetes.io/gpu", False),
        ("cpu", False),
        ("hugepages-2Mi", False),
    ],
)
def test_resources_that_may_be_devices(resource: str, may: bool) -> None:
    """Those of somebody's domain, and those named after a class."""
    assert may_be_devices(resource) == may
