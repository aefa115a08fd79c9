"""The committed stub and what it promises."""

from __future__ import annotations

from pathlib import Path

from minik8s.api import types
from minik8s.api.resources import BUILTIN
from minik8s.schema.stubs import stub, stub_names


def test_the_committed_stub_is_what_the_table_says() -> None:
    """`python -m minik8s.schema.stubs > minik8s/api/types.pyi` has been run since the table changed."""
    assert Path(types.__file__).with_suffix(".pyi").read_text("utf-8") == stub()


def test_names_are_unique_and_kinds_come_first() -> None:
    """Two structs never share a name, and a kind yields its name only to a kind."""
    names = stub_names()
    assert len(set(names.values())) == len(names)
    assert names["core/v1.Event"] == "Event"
    assert names["events.k8s.io/v1.Event"] == "EventsEvent"
    assert names["autoscaling/v2.HorizontalPodAutoscaler"] == "HorizontalPodAutoscaler"
    assert names["authentication.k8s.io/v1.TokenRequest"] == "TokenRequest"


def test_every_resource_has_a_type() -> None:
    """Each built-in resource's kind stands in the stub, and at run time its name is dict."""
    for resource in BUILTIN:
        assert getattr(types, stub_names()[resource.type.name]) is dict
