"""The scale subresource: the replicas of a workload as an autoscaling/v1 Scale of its own."""

from __future__ import annotations

from minik8s.api.request import ApiRequest
from minik8s.apiserver.body import decode_object, read_object
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.options import write_options
from minik8s.apiserver.patching import apply_patch, parse_patch
from minik8s.apiserver.reading import find
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.apiserver.writing import Face, Write, check_name, check_precondition, rewrite
from minik8s.machinery.errors import Invalid
from minik8s.machinery.field import invalid
from minik8s.machinery.meta import Doc, Obj, copy_document, evolve
from minik8s.machinery.selectors import LabelSelector
from minik8s.store.protocol import Entry

API_VERSION, KIND = "autoscaling/v1", "Scale"
_IDENTITY = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(obj: Doc) -> Obj:
    """The Scale that describes a workload's replicas."""
    selector = obj["spec"].get("selector")
    is_labels = obj["kind"] == "ReplicationController"
    text = str(LabelSelector.from_map(selector or {}) if is_labels else LabelSelector.from_object(selector))
    status: Obj = {"replicas": obj.get("status", {}).get("replicas", 0)}
    if text:
        status["selector"] = text
    replicas = obj["spec"].get("replicas", 0)
    return {
        "kind": KIND,
        "apiVersion": API_VERSION,
        "metadata": {key: obj["metadata"][key] for key in _IDENTITY if key in obj["metadata"]},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _taken(obj: Doc, scale: Doc) -> Obj:
    """The workload with the replicas that its Scale has after admission."""
    changed: Obj = evolve(obj, "spec", "replicas", value=scale.get("spec", {}).get("replicas", 0))
    return changed


FACE = Face((API_VERSION, KIND), scale_of, _taken)


async def get_scale(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    entry = await find(ctx, served, request.namespace, request.name)
    return ObjectResponse(scale_of(served.view(entry.value)))


async def update_scale(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """PUT or PATCH of the Scale, carried over to the workload's spec.replicas."""
    options = write_options(request)
    write = Write(ctx, served, request, options, [], face=FACE)
    given: Obj | None = None
    if request.verb == "update":
        given, _ = read_object(request, API_VERSION, KIND, options.validation)
    patch = parse_patch(request) if request.verb == "patch" else None

    def change(entry: Entry) -> tuple[Obj, list[str]]:
        current = served.view(entry.value)
        scale = given
        if scale is None:
            patched = apply_patch(scale_of(current), patch, request.content_type, served)
            scale, _ = decode_object(patched, (), API_VERSION, KIND, options.validation)
        return _scaled(served, request, current, scale, entry), []

    response = await rewrite(write, change)
    return ObjectResponse(scale_of(response.document), code=response.code, warnings=response.warnings)


def _scaled(served: Served, request: ApiRequest, current: Doc, scale: Obj, entry: Entry) -> Obj:
    check_name(scale, request.name)
    check_precondition(served, scale["metadata"], entry)
    replicas = scale.get("spec", {}).get("replicas", 0)
    if replicas < 0:
        cause = invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise Invalid.object(KIND, "autoscaling", request.name, [cause])
    changed: Obj = copy_document(evolve(current, "spec", "replicas", value=replicas))
    return changed
