"""`minik8s history` against a cluster."""

from __future__ import annotations

import json
from typing import Any

from minik8s import CONFIG_MAPS


def test_history(minik8s: Any) -> None:
    """Who made and changed an object, as text and as JSON; what there is not is one line on stderr; `why` knows too."""
    minik8s("apply", "-f", "-", input="{apiVersion: v1, kind: ConfigMap, metadata: {name: notes}, data: {a: x}}")
    client = minik8s.cluster.client.as_agent("my-operator/2.0")
    patch, where = {"data": {"a": "y"}}, {"namespace": minik8s.namespace}
    minik8s.cluster.run(client.patch, CONFIG_MAPS, "notes", patch, **where)
    told = minik8s("history", "configmap/notes")
    assert told.startswith(f"ConfigMap {minik8s.namespace}/notes\n")
    assert "changed by my-operator as system:admin (patch)" in told
    assert 'data.a: "x" -> "y"' in told
    steps = json.loads(minik8s("history", "-o", "json", "cm", "notes"))["steps"]
    assert [(step["verb"], step["request"]) for step in steps] == [("created", "patch"), ("changed", "patch")]
    assert 'was changed (data.a: "x" -> "y") by my-operator as system:admin' in minik8s("why", "cm/notes")
    assert 'configmaps "none" not found' in minik8s.fails("history", "cm/none")
    assert "name the object" in minik8s.fails("history", "cm")
    assert "doesn't have a resource type" in minik8s.fails("history", "thing/none")
