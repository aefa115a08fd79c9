"""What holds for every kind and every document: hooks never fail, defaults settle, validation repeats itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minik8s.api.resource import Resource
from minik8s.api.resources import BUILTIN, CUSTOM_RESOURCE_DEFINITIONS
from minik8s.api.strategies import strategy_for
from minik8s.api.validation.metadata import validate_metadata
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.meta import copy_document
from minik8s.schema.decode import decode
from tests.api.conftest import made
from tests.api.documents import document

SEEDS = st.integers(0, 2**32)
SETTINGS = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
STORED = [resource for resource in BUILTIN if "update" in resource.verbs]


def drawn(resource: Resource[Any], seed: int) -> dict[str, Any]:
    doc = document(resource.type, seed)
    doc["metadata"] = {**doc.get("metadata", {}), "name": "x"}
    return made(resource, doc)


def is_causes(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(cause, StatusCause) for cause in found)


@pytest.mark.parametrize("resource", STORED, ids=lambda r: f"{r.plural}.{r.group}/{r.version}")
@SETTINGS
@given(seed=SEEDS, other=SEEDS)
def test_hooks_only_ever_report(resource: Resource[Any], seed: int, other: int) -> None:
    """Validation of anything the decoder lets through gives field errors, the same each time; warnings are texts."""
    strategy = strategy_for(resource)
    obj, old = drawn(resource, seed), drawn(resource, other)
    errors = strategy.validate_create(obj)
    assert is_causes(errors)
    assert strategy.validate_create(obj) == errors
    changed = copy_document(obj)
    strategy.prepare_update(changed, old)
    assert is_causes(strategy.validate_update(changed, old))
    described = copy_document(obj)
    strategy.prepare_status_update(described, old)
    assert is_causes(strategy.validate_status_update({**described, "status": obj.get("status", {})}, old))
    assert all(isinstance(text, str) for text in (*strategy.warnings(obj, None), *strategy.warnings(changed, old)))
    namespaced = resource.namespaced
    assert is_causes(
        validate_metadata(obj, None, namespaced=namespaced, name_rule=strategy.name_errors)
        + validate_metadata(changed, old, namespaced=namespaced, name_rule=strategy.name_errors)
    )


@pytest.mark.parametrize("resource", STORED, ids=lambda r: f"{r.plural}.{r.group}/{r.version}")
@SETTINGS
@given(seed=SEEDS)
def test_what_is_stored_is_stable(resource: Resource[Any], seed: int) -> None:
    """Decoding and defaulting what they made changes nothing, and replacing an object by itself is no change."""
    strategy = strategy_for(resource)
    stored = drawn(resource, seed)
    again = decode(copy_document(stored), resource.type, resource.kind).obj
    strategy.default(again)
    assert again == stored
    strategy.prepare_update(again, stored)
    assert again == stored
    if resource is CUSTOM_RESOURCE_DEFINITIONS:
        return  # its status was drawn too, and says which versions have been stored: that binds an update only
    assert {*strategy.validate_update(again, stored)} <= {*strategy.validate_create(stored)}
