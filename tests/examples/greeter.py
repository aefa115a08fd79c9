"""A kopf operator: every Greeting has a ConfigMap with its words, which follows its changes and goes with it."""

from __future__ import annotations

from typing import Any

import kopf
from kubernetes import client


@kopf.on.create("greetings.example.com")
@kopf.on.update("greetings.example.com")
def write(spec: kopf.Spec, name: str, namespace: str, **_: Any) -> dict[str, str]:
    """Makes the ConfigMap, or replaces what is in it; what it answers becomes status.write."""
    text = f"Hello, {spec.get('whom', 'world')}!"
    body: dict[str, Any] = {"metadata": {"name": name, "namespace": namespace}, "data": {"text": text}}
    kopf.adopt(body)
    api = client.CoreV1Api()
    try:
        api.create_namespaced_config_map(namespace, body)
    except client.ApiException as error:
        if error.status != 409:
            raise kopf.TemporaryError(f"not yet: {error.reason}", delay=1) from error
        api.patch_namespaced_config_map(name, namespace, body)
    return {"text": text}
