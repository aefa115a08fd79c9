"""What is served, and what the store is told about it."""

from __future__ import annotations

import pytest

from minik8s.api.resources import EVENTS, EVENTS_V1, NODES, PODS
from minik8s.apiserver.codec import DocumentCodec
from minik8s.apiserver.registry import Registry
from minik8s.machinery.errors import NotFound
from minik8s.machinery.frozen import FrozenDict

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns"}, "spec": {"nodeName": "n"}}


def test_unknown_paths_are_not_found() -> None:
    """A group, version or resource that is not served is the 404 of an unknown path."""
    registry = Registry()
    assert registry.find("", "v1", "pods") is PODS
    for where in (("", "v2", "pods"), ("x", "v1", "pods"), ("", "v1", "pod")):
        with pytest.raises(NotFound, match="could not find the requested resource"):
            registry.find(*where)
    with pytest.raises(NotFound):
        Registry([NODES]).served(PODS)


def test_every_subresource_of_pods_is_listed() -> None:
    """What upstream's pods have, these have too."""
    pods = next(r for r in Registry().resources if r.plural == "pods")
    names = {s.name for s in pods.subresources}
    assert names >= {"attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "proxy"}
    assert names >= {"resize", "status"}


def test_two_versions_one_store() -> None:
    """Both views of an event have one key; the foreign one shows a converted document without shared bytes."""
    registry = Registry()
    core, new = registry.served(EVENTS), registry.served(EVENTS_V1)
    assert core.key("ns", "e") == new.key("ns", "e")
    assert (core.shares_bytes, new.shares_bytes) == (True, False)
    stored = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "message": "m"}
    assert core.view(stored) is stored
    assert new.view(stored)["note"] == "m"
    assert new.stored(new.view(stored)) == stored


@pytest.mark.parametrize("frozen", [True, False])
def test_the_codec_stamps_a_copy(frozen: bool) -> None:
    """A stored document bears its revision and is frozen if asked for; the writer's own is not touched."""
    codec = DocumentCodec(Registry().indexed, frozen=frozen)
    stamped = codec.stamp(POD, 12)
    assert stamped["metadata"]["resourceVersion"] == "12"
    assert isinstance(stamped, FrozenDict) is frozen
    assert "resourceVersion" not in POD["metadata"]


def test_the_codec_knows_the_words_that_documents_are_found_by() -> None:
    """A pod is found by its node; by its name everything is anyway, and no index is kept for that."""
    codec = DocumentCodec(Registry().indexed, frozen=False)
    assert codec.word(("pods", "ns", "p"), POD, "spec.nodeName") == "n"
    assert codec.word(("pods", "ns", "p"), POD, "metadata.name") is None
    assert codec.word(("configmaps", "ns", "c"), {"metadata": {"name": "c"}}, "spec.nodeName") is None
