"""What an extender is asked and what it answers, as JSON; decided by nobody, read with care.

Fields have the names of upstream's Go structs, which have no JSON tags; answers are read as Go reads them, whatever the
case of their names. Upstream: `k8s.io/kube-scheduler/extender/v1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from minik8s.machinery.meta import Doc, Obj, name_of

MAX_PRIORITY = 10
"""The highest score of an extender; MaxExtenderPriority."""


class ExtenderError(Exception):
    """An extender cannot be asked, or its answer is none; the text is upstream's where there is one."""


@attrs.frozen
class Filtered:
    """The nodes that passed; why others did not, and why others did not that no eviction would help."""

    nodes: tuple[str, ...]
    failed: Mapping[str, str]
    unresolvable: Mapping[str, str]


@attrs.frozen
class Victims:
    """Whom to evict from a node, by uid, and how many of them break a budget."""

    uids: tuple[str, ...]
    violations: int


def nodes_args(pod: Doc, nodes: Sequence[Doc], *, by_name: bool) -> Obj:
    """ExtenderArgs: a pod and the nodes in question, whole or by name."""
    listed: Obj | None = None if by_name else {"metadata": {}, "items": list(nodes)}
    return {"Pod": pod, "Nodes": listed, "NodeNames": [name_of(node) for node in nodes] if by_name else None}


def read_filter_result(answer: object, where: str, *, by_name: bool) -> Filtered:
    """ExtenderFilterResult; only who was asked by name may answer by name. Raises ExtenderError."""
    doc = _fields(answer, where)
    if error := _text(doc, "error", where):
        raise ExtenderError(error)
    names: tuple[str, ...] = ()
    if by_name and doc.get("nodenames") is not None:
        names = tuple(_texts(doc["nodenames"], where))
    elif doc.get("nodes") is not None:
        items = _fields(doc["nodes"], where).get("items") or ()
        names = tuple(_name(_fields(item, where), where) for item in _list(items, where))
    return Filtered(names, _map(doc, "failednodes", where), _map(doc, "failedandunresolvablenodes", where))


def read_priorities(answer: object, where: str) -> dict[str, int]:
    """HostPriorityList: node -> score. Raises ExtenderError."""
    found: dict[str, int] = {}
    for entry in _list(answer or (), where):
        one = _fields(entry, where)
        host = _text(one, "host", where)
        found[host] = found.get(host, 0) + _number(one, "score", where)
    return found


def binding_args(pod: Doc, node: str) -> Obj:
    """ExtenderBindingArgs."""
    metadata = pod["metadata"]
    return {
        "PodName": metadata["name"],
        "PodNamespace": metadata.get("namespace", ""),
        "PodUID": metadata.get("uid", ""),
        "Node": node,
    }


def read_binding_result(answer: object, where: str) -> None:
    """ExtenderBindingResult. Raises ExtenderError when it says that binding failed."""
    if error := _text(_fields(answer or {}, where), "error", where):
        raise ExtenderError(error)


def preemption_args(pod: Doc, victims: Mapping[str, tuple[Sequence[Doc], int]], *, by_uid: bool) -> Obj:
    """ExtenderPreemptionArgs: by node the pods to evict, whole or by uid, and how many break a budget."""

    def of(pods: Iterable[Doc], violations: int) -> Obj:
        listed = [{"UID": p["metadata"].get("uid", "")} for p in pods] if by_uid else list(pods)
        return {"Pods": listed, "NumPDBViolations": violations}

    asked = {node: of(*each) for node, each in victims.items()}
    whole, meta = (None, asked) if by_uid else (asked, None)
    return {"Pod": pod, "NodeNameToVictims": whole, "NodeNameToMetaVictims": meta}


def read_preemption_result(answer: object, where: str) -> dict[str, Victims]:
    """ExtenderPreemptionResult, which speaks of pods by uid. Raises ExtenderError."""
    meta = _fields(answer, where).get("nodenametometavictims")
    if meta is None:
        return {}
    if not isinstance(meta, Mapping):
        raise _nonsense(where, meta)
    found = {}
    for node, entry in meta.items():
        one = _fields(entry or {}, where)
        uids = [_text(_fields(pod, where), "uid", where) for pod in _list(one.get("pods") or (), where)]
        found[node] = Victims(tuple(uids), _number(one, "numpdbviolations", where))
    return found


# ---------------------------------------------------------------------- reading


def _nonsense(where: str, value: object) -> ExtenderError:
    return ExtenderError(f"cannot make sense of the answer of {where}: {str(value)[:200]}")


def _fields(value: object, where: str) -> dict[str, Any]:
    """A struct, by its fields' names in lower case."""
    if not isinstance(value, Mapping):
        raise _nonsense(where, value)
    return {str(key).lower(): item for key, item in value.items()}


def _list(value: object, where: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise _nonsense(where, value)
    return value


def _texts(value: object, where: str) -> Sequence[str]:
    found = _list(value, where)
    if not all(isinstance(item, str) for item in found):
        raise _nonsense(where, value)
    return found


def _text(doc: Mapping[str, Any], name: str, where: str) -> str:
    value = doc.get(name)
    if value is not None and not isinstance(value, str):
        raise _nonsense(where, value)
    return value or ""


def _number(doc: Mapping[str, Any], name: str, where: str) -> int:
    value = doc.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise _nonsense(where, value)
    return value or 0


def _map(doc: Mapping[str, Any], name: str, where: str) -> Mapping[str, str]:
    value = doc.get(name) or {}
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise _nonsense(where, value)
    return value


def _name(node: Mapping[str, Any], where: str) -> str:
    return _text(_fields(node.get("metadata") or {}, where), "name", where)
