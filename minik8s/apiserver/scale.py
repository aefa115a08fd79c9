"""The scale subresource: the replicas of a workload as an autoscaling/v1 Scale of its own."""

from __future__ import annotations

from typing import Any

from minik8s.api.request import APPLY_PATCH, ApiRequest
from minik8s.apiserver.body import read_object
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.fieldmanagers import check_config
from minik8s.apiserver.options import write_options
from minik8s.apiserver.patching import Patch, apply_patch, check_patch_type, decode_patched, parse_patch
from minik8s.apiserver.reading import find
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.apiserver.writing import Face, Write, check_name, check_precondition, rewrite
from minik8s.machinery.errors import InternalError, Invalid
from minik8s.machinery.field import invalid
from minik8s.machinery.fieldset import FieldSet
from minik8s.machinery.meta import Doc, Obj, copy_document, evolve, value_at
from minik8s.machinery.patch.apply import Kind as ApplyKind
from minik8s.machinery.patch.apply import apply_config
from minik8s.machinery.scalefields import to_parent, to_scale
from minik8s.machinery.selectors import LabelSelector
from minik8s.schema import table
from minik8s.store.protocol import Entry

API_VERSION, KIND = "autoscaling/v1", "Scale"
_IDENTITY = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(obj: Doc) -> Obj:
    """The Scale that describes a workload's replicas."""
    selector = obj["spec"].get("selector")
    is_labels = obj["kind"] == "ReplicationController"
    text = str(LabelSelector.from_map(selector or {}) if is_labels else LabelSelector.from_object(selector))
    return _scale(obj, obj["spec"].get("replicas", 0), obj.get("status", {}).get("replicas", 0), text)


def _scale(obj: Doc, replicas: Any, current: Any, selector: Any) -> Obj:
    """A Scale of these numbers; what is no number is 0."""
    replicas, current = (n if isinstance(n, int) and not isinstance(n, bool) else 0 for n in (replicas, current))
    status: Obj = {"replicas": current}
    if selector and isinstance(selector, str):
        status["selector"] = selector
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
REPLICAS = ("spec", "replicas")


def face_of(served: Served) -> Face:
    """How the kind's objects look as Scales: a custom resource says where its numbers are."""
    custom = served.resource.custom
    if custom is None or custom.scale is None:
        return FACE
    paths = custom.scale

    def show(obj: Doc) -> Obj:
        current, selector = value_at(obj, paths.status_replicas), value_at(obj, paths.selector)
        return _scale(obj, value_at(obj, paths.replicas), current, selector)

    def take(obj: Doc, scale: Doc) -> Obj:
        return evolve(obj, *paths.replicas, value=scale.get("spec", {}).get("replicas", 0))

    return Face((API_VERSION, KIND), show, take)


def _replicas_path(served: Served) -> tuple[str, ...]:
    custom = served.resource.custom
    return custom.scale.replicas if custom is not None and custom.scale is not None else REPLICAS


async def get_scale(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    entry = await find(ctx, served, request.namespace, request.name)
    obj, path = served.view(entry.value), _replicas_path(served)
    if served.resource.custom is not None and value_at(obj, path) is None:
        raise InternalError(f'the spec replicas field ".{".".join(path)}" does not exist')  # as upstream
    return ObjectResponse(face_of(served).show(obj))


async def update_scale(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """PUT or PATCH of the Scale, carried over to the workload's spec.replicas."""
    request.content_type = request.content_type.partition(";")[0].strip()
    options = write_options(request)
    write = Write(ctx, served, request, options, [], face=face_of(served))
    given: Obj | None = None
    if request.verb == "update":
        given, _ = read_object(request, API_VERSION, KIND, options.validation)
    else:
        check_patch_type(request, served.resource)
    patch = parse_patch(request, options.validation) if request.verb == "patch" else None

    def change(entry: Entry) -> tuple[Obj, list[str]]:
        current = served.view(entry.value)
        scale = given
        warnings: list[str] = []
        if patch is not None:
            scale, warnings = _patched(write, current, patch)
        assert scale is not None
        return _scaled(served, request, current, scale, entry), warnings

    response = await rewrite(write, change)
    return ObjectResponse(face_of(served).show(response.document), code=response.code, warnings=response.warnings)


def _patched(write: Write, current: Doc, patch: Patch) -> tuple[Obj, list[str]]:
    """The Scale that the patch makes of the workload's. An applied one notes who owns the replicas now."""
    assert write.face is not None
    scale = write.face.show(current)
    replicas = _owned(_replicas_path(write.served))
    if patch.content_type == APPLY_PATCH:
        check_config(API_VERSION, KIND, write.request, patch.body)
        kind = ApplyKind(API_VERSION, table.struct(API_VERSION, KIND), write.request.subresource, ())
        owners = current["metadata"].get("managedFields") or ()
        options, now = write.options, write.ctx.clock.now()
        result = apply_config(
            scale, patch.body, to_scale(owners, replicas), kind, manager=options.manager, now=now, force=options.force
        )
        write.managed = to_parent(result.managed_fields, owners, write.served.resource.api_version, replicas)
        scale = result.document
    else:
        scale = apply_patch(scale, patch, table.struct(API_VERSION, KIND))
    obj, warnings = decode_patched(scale, patch, API_VERSION, KIND, write.options.validation)
    return obj, [*patch.warnings, *warnings]


def _scaled(served: Served, request: ApiRequest, current: Doc, scale: Obj, entry: Entry) -> Obj:
    check_name(scale, request.name)
    check_precondition(served, scale["metadata"], entry)
    replicas = scale.get("spec", {}).get("replicas", 0)
    if replicas < 0:
        cause = invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise Invalid.object(KIND, "autoscaling", request.name, [cause])
    changed: Obj = copy_document(evolve(current, *_replicas_path(served), value=replicas))
    return changed


def _owned(path: tuple[str, ...]) -> FieldSet:
    """A path as managedFields name it."""
    fields: Obj = {}
    for name in reversed(path):
        fields = {f"f:{name}": fields}
    return fields
