"""Definitions as real projects write them: gateways full of CEL rules, certificates and monitors of many unions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.custom.definitions import DEFINITIONS

pytestmark = pytest.mark.anyio

GATEWAYS = "/apis/gw.example.com/v1/namespaces/default/gateways"
HTTP = {"name": "web", "port": 80, "protocol": "HTTP"}
PENDING = "Waiting for controller"

MONITORS = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.example.com}
spec:
  group: monitoring.example.com
  scope: Namespaced
  names: {categories: [prometheus-operator], kind: ServiceMonitor, listKind: ServiceMonitorList,
          plural: servicemonitors, shortNames: [smon], singular: servicemonitor}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          apiVersion: {type: string}
          kind: {type: string}
          metadata: {type: object}
          spec:
            type: object
            required: [endpoints, selector]
            properties:
              endpoints:
                type: array
                items:
                  type: object
                  properties:
                    interval:
                      type: string
                      pattern: '^(0|(([0-9]+)y)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?)$'
                    params: {type: object, additionalProperties: {type: array, items: {type: string}}}
                    port: {type: string}
                    scheme: {type: string, enum: [http, https]}
                    targetPort: {anyOf: [{type: integer}, {type: string}], x-kubernetes-int-or-string: true}
                    bearerTokenSecret:
                      type: object
                      required: [key]
                      x-kubernetes-map-type: atomic
                      properties: {key: {type: string}, name: {type: string, default: ''}, optional: {type: boolean}}
                    relabelings:
                      type: array
                      items:
                        type: object
                        properties: {action: {type: string, default: replace, enum: [replace, Replace, keep, drop]}}
              namespaceSelector:
                type: object
                properties: {any: {type: boolean}, matchNames: {type: array, items: {type: string}}}
              sampleLimit: {type: integer, format: int64}
              selector:
                type: object
                x-kubernetes-map-type: atomic
                properties:
                  matchLabels: {type: object, additionalProperties: {type: string}}
                  matchExpressions:
                    type: array
                    x-kubernetes-list-type: atomic
                    items: {type: object, required: [key, operator], properties: {key: {type: string},
                            operator: {type: string}, values: {type: array, items: {type: string}}}}
"""
MONITOR = {
    "endpoints": [
        {
            "port": "web",
            "interval": "1m30s",
            "targetPort": 80,
            "params": {"m": ["a"]},
            "relabelings": [{}],
            "bearerTokenSecret": {"key": "k"},
        }
    ],
    "selector": {"matchLabels": {"app": "x"}},
}


def gateway(name: str = "g", **spec: Any) -> dict[str, Any]:
    body = {"listeners": [HTTP], **spec}
    return {"apiVersion": "gw.example.com/v1", "kind": "Gateway", "metadata": {"name": name}, "spec": body}


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ({"path": "/a/b"}, ""),
        ({"path": "/a b"}, "spec: Invalid value: bad path"),
        ({"timeout": "2s"}, ""),
        ({"timeout": "100ms"}, "spec: Invalid value: too short"),
        ({"value": "1999-01-01T00:00:00Z"}, "spec: Invalid value: too old"),
        ({"size": "2Gi"}, ""),
        ({"size": 5}, "spec: Invalid value: size 5 is too small"),
        (
            {"listeners": [{**HTTP, "tls": {"certificateRefs": [{"name": "x"}]}}]},
            "spec.listeners: Invalid value: tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']",
        ),
        (
            {"listeners": [{"name": "s", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": []}}]},
            "spec.listeners[0].tls: Invalid value: certificateRefs or options must be specified when mode is Terminate",
        ),
        (
            {"listeners": [HTTP, {**HTTP, "name": "other"}]},
            "spec.listeners: Invalid value: "
            "Combination of port, protocol and hostname must be unique for each listener",
        ),
    ],
)
async def test_gateways(server: Any, spec: Any, error: str) -> None:
    """Rules over lists, formats, quantities and raw strings; the status begins with the schema's default."""
    await server.ok("POST", DEFINITIONS, yaml.safe_load(Path(__file__).with_name("gateway.yaml").read_text()))
    if not error:
        made = await server.ok("POST", GATEWAYS, gateway(**spec))
        assert made["status"]["conditions"][0]["message"] == PENDING
        return
    message = f'Gateway.gw.example.com "g" is invalid: {error}'
    await server.refused("POST", GATEWAYS, 422, "Invalid", message, gateway(**spec))


async def test_monitors(server: Any) -> None:
    """Patterns, atomic structs, int-or-string and defaults in lists."""
    await server.ok("POST", DEFINITIONS, yaml.safe_load(MONITORS))
    path = "/apis/monitoring.example.com/v1/namespaces/default/servicemonitors"
    head = {"apiVersion": "monitoring.example.com/v1", "kind": "ServiceMonitor"}
    made = await server.ok("POST", path, {**head, "metadata": {"name": "m"}, "spec": MONITOR})
    endpoint = made["spec"]["endpoints"][0]
    assert (endpoint["relabelings"], endpoint["bearerTokenSecret"]) == (
        [{"action": "replace"}],
        {"key": "k", "name": ""},
    )
    wrong = {**MONITOR, "endpoints": [{"interval": "soon", "scheme": "gopher", "targetPort": 1.5}]}
    answer = await server.call("POST", path, {**head, "metadata": {"name": "n"}, "spec": wrong})
    fields = {cause["field"] for cause in answer.json()["details"]["causes"]}
    assert fields == {"<nil>", *(f"spec.endpoints[0].{name}" for name in ("interval", "scheme", "targetPort"))}
