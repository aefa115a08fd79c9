"""webhook and crd-conversion-webhook: the admission and conversion that upstream's tests register."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from minik8s.testing.agnhost import web
from minik8s.testing.agnhost.flags import number, parse
from minik8s.testing.agnhost.web import Answer, Request, Route

Doc = dict[str, Any]
Review = Callable[[Doc], Doc]
KEY = "webhook-e2e-test"
TLS = {"tls-cert-file": "", "tls-private-key-file": ""}


def deny(message: str) -> Doc:
    return {"allowed": False, "status": {"message": message}}


def patch(*operations: Doc) -> Doc:
    text = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patch": text, "patchType": "JSONPatch"}


def add(path: str, value: Any, op: str = "add") -> Doc:
    return {"op": op, "path": path, "value": value}


def slow(request: Doc) -> Doc:
    time.sleep(5)
    return {"allowed": True}


def add_label(request: Doc) -> Doc:
    labels = request["object"]["metadata"].get("labels")
    if not labels:
        return patch(add("/metadata/labels", {"added-label": "yes"}))
    if "added-label" not in labels:
        return patch(add("/metadata/labels/added-label", "yes"))
    return (
        {"allowed": True}
        if labels["added-label"] == "yes"
        else patch(add("/metadata/labels/added-label", "yes", "replace"))
    )


def pods(request: Doc) -> Doc:
    pod, texts = request["object"], []
    label = (pod["metadata"].get("labels") or {}).get(KEY)
    if label == "webhook-disallow":
        texts.append("the pod contains unwanted label; ")
    if label == "wait-forever":
        threading.Event().wait()
    for container in pod["spec"]["containers"]:
        if "webhook-disallow" in container["name"]:
            texts.append("the pod contains unwanted container name; ")
    return deny("".join(texts).strip()) if texts else {"allowed": True}


def mutate_pods(request: Doc) -> Doc:
    if request["object"]["metadata"].get("name") != "webhook-to-be-mutated":
        return {"allowed": True}
    container = {"image": "webhook-added-image", "name": "webhook-added-init-container", "resources": {}}
    return patch(add("/spec/initContainers", [container]))


def attach(request: Doc) -> Doc:
    if request.get("name") == "to-be-attached-pod" and request.get("operation") == "CONNECT":
        return deny("attaching to pod 'to-be-attached-pod' is not allowed")
    return {"allowed": True}


def unwanted(name: str, written: str) -> Review:
    """Refuses what is marked so: to be written with the reason `written`, or to be deleted."""

    def review(request: Doc) -> Doc:
        deleted = request.get("operation") == "DELETE"
        found = request.get("oldObject" if deleted else "object") or {}
        mark = (found.get("data") or {}).get(KEY)
        if not deleted and mark == "webhook-disallow":
            return {"allowed": False, "status": {"reason": f"the {name} contains {written}"}}
        if deleted and mark == "webhook-nondeletable":
            reason = f"the {name} cannot be deleted because it contains unwanted key and value"
            return {"allowed": False, "status": {"reason": reason}}
        return {"allowed": True}

    return review


def stages(request: Doc) -> Doc:
    """A first mutation, and a second one upon it."""
    data = request["object"].get("data") or {}
    if data.get("mutation-stage-1") == "yes":
        return patch(add("/data/mutation-stage-2", "yes"))
    return patch(add("/data/mutation-stage-1", "yes")) if data.get("mutation-start") == "yes" else {"allowed": True}


def crd(request: Doc) -> Doc:
    labels = request["object"]["metadata"].get("labels") or {}
    return deny("the crd contains unwanted label") if labels.get(KEY) == "webhook-disallow" else {"allowed": True}


REVIEWS: dict[str, Review] = {
    "/always-allow-delay-5s": slow,
    "/always-deny": lambda request: deny("this webhook denies all requests"),
    "/add-label": add_label,
    "/pods": pods,
    "/pods/attach": attach,
    "/mutating-pods": mutate_pods,
    "/configmaps": unwanted("configmap", "unwanted key and value"),
    "/mutating-configmaps": stages,
    "/custom-resource": unwanted("custom resource", "unwanted data"),
    "/mutating-custom-resource": stages,
    "/crd": crd,
}


def webhook(arguments: list[str]) -> int:
    flags = parse(arguments, {**TLS, "port": "443", "sidecar-image": ""})

    def route(path: str) -> Route | None:
        if path == "/readyz":
            return lambda request: (200, "ok")
        return reviewed(REVIEWS[path]) if path in REVIEWS else None

    return web.forever(web.serve(route, number(flags, "port"), flags=flags))


def reviewed(review: Review) -> Route:
    """An AdmissionReview's request, answered in its own version."""

    def answer(request: Request) -> Answer:
        document = json.loads(request.body)
        response = {"uid": document["request"]["uid"], **review(document["request"])}
        return 200, {"apiVersion": document["apiVersion"], "kind": "AdmissionReview", "response": response}

    return answer


def convert(arguments: list[str]) -> int:
    """Between v1 (hostPort) and v2 (host and port) of upstream's test resource."""
    flags = parse(arguments, {**TLS, "port": "443"})

    def conversion(request: Request) -> Answer:
        document = json.loads(request.body)
        asked = document["request"]
        wanted = asked["desiredAPIVersion"]
        try:
            objects = [converted(found, wanted) for found in asked["objects"]]
            result: Doc = {"uid": asked["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
        except ValueError as error:
            result = {
                "uid": asked["uid"],
                "result": {"status": "Failure", "message": str(error)},
                "convertedObjects": [],
            }
        return 200, {"apiVersion": document["apiVersion"], "kind": "ConversionReview", "response": result}

    routes: dict[str, Route] = {"/crdconvert": conversion, "/readyz": lambda request: (200, "ok")}
    return web.forever(web.serve(routes.get, number(flags, "port"), flags=flags))


def converted(found: Doc, wanted: str) -> Doc:
    """Raises ValueError for what cannot be converted."""
    result = {**found, "apiVersion": wanted}
    if found["apiVersion"] == wanted:
        raise ValueError(f"conversion from a version to itself should not call the webhook: {wanted}")
    if wanted.endswith("/v2"):
        parts = str(result.pop("hostPort", "")).split(":")
        if len(parts) != 2:
            raise ValueError(f"invalid hostPort value `{found.get('hostPort', '')}`")
        return {**result, "host": parts[0], "port": parts[1]}
    if wanted.endswith("/v1"):
        result["hostPort"] = f"{result.pop('host', '')}:{result.pop('port', '')}"
        return result
    raise ValueError(f"unexpected conversion version {wanted!r}")
