"""Upstream's service-level objectives (kubernetes/community, sig-scalability/slos) as pass or fail.

They are 99th percentiles over a cluster's day; a benchmark has only its own minutes, and says so by being one.
Latency of API calls: 1 s for a mutating call and for reading a single object, 5 s for a list of a namespace, 30 s for
one of the cluster, each by verb and resource. Watches and other streams are exempt. Pod startup: 5 s, for pods that
need no pull, no init containers and no volumes that someone has to attach.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from minik8s.bench.results import Result, Verdict

MUTATING: Final = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})
MUTATING_SECONDS, RESOURCE_SECONDS, NAMESPACE_SECONDS, CLUSTER_SECONDS = 1.0, 1.0, 5.0, 30.0
POD_STARTUP_SECONDS: Final = 5.0
API_LATENCY: Final = "API call latency p99"
LATENCIES: Final = frozenset({"latency at the client", "latency at the server"})


def limit_of(labels: Mapping[str, str]) -> float | None:
    """Seconds that the 99th percentile of such calls may take; None where there is no objective."""
    verb, scope = labels.get("verb", ""), labels.get("scope", "")
    if verb in MUTATING:
        return MUTATING_SECONDS
    if verb == "GET":
        return RESOURCE_SECONDS
    if verb == "LIST":
        return NAMESPACE_SECONDS if scope == "namespace" else CLUSTER_SECONDS
    return None


def api_verdicts(results: Iterable[Result]) -> Iterator[Verdict]:
    """An objective for every kind of call that was measured."""
    for result in results:
        if result.what not in LATENCIES:
            continue
        for series in result.series:
            limit = limit_of(series.labels)
            if limit is not None and series.histogram is not None and series.histogram.count:
                subject = f"{call_name(series.labels)}, {result.what.partition(' ')[2]}"
                measured = series.histogram.percentile(99)
                yield Verdict(API_LATENCY, subject, limit, measured, "s", result.time)


def call_name(labels: Mapping[str, str]) -> str:
    """`PATCH pods/status of a namespace`, as tables show a kind of call."""
    resource = labels.get("resource", "") + (f"/{labels['subresource']}" if labels.get("subresource") else "")
    scope = f" ({labels['scope']})" if labels.get("verb") == "LIST" else ""
    return f"{labels.get('verb', '')} {resource}{scope}"
