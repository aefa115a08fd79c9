"""Building documents the way the server does: decoded, defaulted, prepared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api.resource import Resource
from minik8s.api.strategies import strategy_for
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.meta import copy_document
from minik8s.schema.decode import decode

Made = dict[str, Any]
Make = Callable[[Resource[Any], Any], Made]


def made(resource: Resource[Any], doc: Any) -> Made:
    """A document as the server holds it when it comes to be validated on creation."""
    obj = decode(copy_document(doc), resource.type, resource.kind).obj
    strategy = strategy_for(resource)
    metadata = obj["metadata"]
    metadata.setdefault("name", "x")
    metadata["uid"], metadata["creationTimestamp"] = "the-uid", "2026-01-01T00:00:00Z"
    if resource.namespaced:
        metadata.setdefault("namespace", "default")
    strategy.default(obj)
    strategy.prepare_create(obj)
    return obj


@pytest.fixture
def make() -> Make:
    return made


@pytest.fixture
def errors_of() -> Callable[[Resource[Any], Any], list[str]]:
    """`field: message` of everything that is wrong with a new document."""

    def errors(resource: Resource[Any], doc: Any) -> list[str]:
        return texts(strategy_for(resource).validate_create(made(resource, doc)))

    return errors


@pytest.fixture
def change_errors() -> Callable[[Resource[Any], Any, Any], list[str]]:
    """`field: message` of everything that is wrong with replacing one document by another."""

    def errors(resource: Resource[Any], before: Any, after: Any) -> list[str]:
        strategy = strategy_for(resource)
        old, new = made(resource, before), decode(copy_document(after), resource.type, resource.kind).obj
        new["metadata"] = {**old["metadata"], **new["metadata"]}
        strategy.default(new)
        strategy.prepare_update(new, old)
        return texts(strategy.validate_update(new, old))

    return errors


def texts(causes: list[StatusCause]) -> list[str]:
    return [f"{cause.field}: {cause.message}" for cause in causes]
