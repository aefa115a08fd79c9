"""metrics.k8s.io/v1beta1: `kubectl top`, and what autoscalers read.

In a real cluster metrics-server is an API of its own behind the aggregator, asking kubelets every 15 seconds; here the
kubelets are a call away, so they are asked when somebody asks us. A pod that does not run yet has no metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from minik8s.api.metrics import ContainerUsage, node_metrics, pod_metrics
from minik8s.api.request import ApiRequest, ListResult
from minik8s.api.resource import Resource
from minik8s.api.resources import NODES, PODS
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.options import check_list_options, list_errors
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ListResponse, ObjectResponse
from minik8s.apiserver.selection import selection
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, Obj, labels_of, name_of, namespace_of


async def get(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """The metrics of one pod or node. Raises NotFound for one that has none."""
    subject = ctx.world.get(_source(served), request.name, request.namespace)
    for found in _measured(ctx, served, [] if subject is None else [subject]):
        return ObjectResponse(found, served.resource)
    raise NotFound.object(served.resource.plural, served.resource.group, request.name)


async def list_metrics(ctx: ServerContext, served: Served, request: ApiRequest) -> ListResponse:
    """The metrics of all pods or nodes that the selectors choose."""
    check_list_options(list_errors(request.options))
    source = _source(served)
    chosen = selection(ctx.registry.served(source), request)
    subjects = [s for s in ctx.world.list(source, request.namespace) if chosen.matches(dict(s))]
    items = sorted(_measured(ctx, served, subjects), key=lambda item: (namespace_of(item), name_of(item)))
    return ListResponse(ListResult(items, str(ctx.store.revision)), served.resource)


def _source(served: Served) -> Resource[Any]:
    """Whose metrics a resource shows."""
    return PODS if served.resource.namespaced else NODES


def _measured(ctx: ServerContext, served: Served, subjects: Iterable[Doc]) -> Iterator[Obj]:
    """The metrics of those that have any."""
    if served.resource.namespaced:
        for pod in subjects:
            if _runs(pod) and (usages := ctx.connector.usage(pod)):
                yield pod_metrics(name_of(pod), namespace_of(pod), labels_of(pod), usages)
        return
    totals = _by_node(ctx)
    for node in subjects:
        name = name_of(node)
        if ctx.connector.has_node(name):
            yield node_metrics(name, labels_of(node), totals.get(name, ()), ctx.clock.now())


def _by_node(ctx: ServerContext) -> dict[str, list[ContainerUsage]]:
    """What runs on each node: its use is the sum of it, for the node itself is only pretended."""
    found: dict[str, list[ContainerUsage]] = {}
    for pod in ctx.world.list(PODS):
        if _runs(pod):
            found.setdefault(pod["spec"]["nodeName"], []).extend(ctx.connector.usage(pod).values())
    return found


def _runs(pod: Doc) -> bool:
    return bool(pod["spec"].get("nodeName")) and (pod.get("status") or {}).get("phase") == "Running"
