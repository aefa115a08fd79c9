"""The nouns of a scenario, under clusterloader2's names (kubernetes/perf-tests, `clusterloader2/api/types.go`).

A scenario has namespaces, tuning sets (when operations start) and steps, one after the other. A step is either
phases, which bring the number of some objects to a value, side by side; or measurements, which start, gather or wait;
or, what clusterloader2 has not, requests: a mix of reads and writes on what phases have made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from minik8s.bench.expressions import Value, filled
from minik8s.bench.tuning import TuningSet
from minik8s.machinery.meta import Obj

Verb = Literal["get", "list", "patch", "apply", "create", "delete"]
VERBS: Final = ("get", "list", "patch", "apply", "create", "delete")
Scope = Literal["namespace", "cluster"]


@attrs.frozen
class NamespaceRange:
    """Namespaces `BASENAME-min` to `BASENAME-max`; those that the run made itself where `basename` is ""."""

    low: int
    high: int
    basename: str = ""

    def names(self, prefix: str) -> list[str]:
        return [f"{self.basename or prefix}-{index}" for index in range(self.low, self.high + 1)]


@attrs.frozen
class Template:
    """A file with one object; `api_version` and `kind` are what it says it is, `digest` is of its text."""

    path: str
    document: Mapping[str, Any]
    digest: str

    @property
    def api_version(self) -> str:
        return str(self.document["apiVersion"])

    @property
    def kind(self) -> str:
        return str(self.document["kind"])


@attrs.frozen
class BundleObject:
    """One object of a bundle: named `BASENAME-INDEX`, filled in with `fill` beside the scenario's parameters."""

    basename: str
    template: Template
    fill: Mapping[str, Value] = attrs.field(factory=dict)

    def name(self, index: int | str) -> str:
        return f"{self.basename}-{index}"

    def render(self, index: int | str, namespace: str, params: Mapping[str, Value]) -> Obj:
        """The object of an index in a namespace ("" for none)."""
        name = self.name(index)
        values = {**params, **self.fill, "Name": name, "Index": index, "Namespace": namespace}
        document: Obj = filled(dict(self.template.document), values)
        metadata = {**(document.get("metadata") or {}), "name": name}
        if namespace:
            metadata["namespace"] = namespace
        return {**document, "metadata": metadata}


@attrs.frozen
class Phase:
    """There are to be `replicas` of the bundle in each namespace of the range, or without one in the cluster."""

    range: NamespaceRange | None
    replicas: int
    tuning: TuningSet
    bundle: tuple[BundleObject, ...]


@attrs.frozen
class Call:
    """One kind of request of a mix; `weight` is its share. `list` can be of the whole cluster."""

    verb: Verb
    weight: float
    object: BundleObject
    scope: Scope = "namespace"


@attrs.frozen
class Requests:
    """`count` requests, drawn from the calls by their weights, spread over the namespaces of the range."""

    range: NamespaceRange
    count: int
    tuning: TuningSet
    calls: tuple[Call, ...]


@attrs.frozen
class MeasurementCall:
    """Starts or gathers the measurement `identifier`; `params` are checked and complete (`methods.METHODS`)."""

    method: str
    identifier: str
    action: Literal["start", "gather"]
    params: Mapping[str, Value]


@attrs.frozen
class Step:
    """Exactly one of the three is not empty."""

    name: str
    phases: tuple[Phase, ...] = ()
    measurements: tuple[MeasurementCall, ...] = ()
    requests: tuple[Requests, ...] = ()


@attrs.frozen
class WarmUp:
    """Batches of `requests` small writes and reads, until the medians of two in a row differ by at most `tolerance`.

    After `attempts` batches without that the benchmark is not warm. `requests` 0: no warm-up.
    """

    requests: int = 100
    tolerance: float = 0.25
    attempts: int = 20


@attrs.frozen
class Scenario:
    """What is to be done and measured; `digest` is of its file and all of its templates, parameters aside."""

    name: str
    description: str
    digest: str
    params: Mapping[str, Value]
    namespaces: int
    prefix: str
    steps: tuple[Step, ...]
    warm_up: WarmUp = WarmUp()

    @property
    def nodes(self) -> int:
        return int(self.params["nodes"])
