"""Measuring: scenarios that load a cluster, and honest figures of how it stood it.

Upstream: kubernetes/perf-tests, clusterloader2, whose terms scenarios are written in; `minik8s bench` is the command.
Read on in this order: `scenario` and `tuning` (nouns), `reading`, `expressions`, `loads`, `methods`, `parsing` (from
YAML to nouns, or to what is wrong with it, with lines), `histogram`, `results`, `slo` (what comes out).

Promises: the same scenario runs against this project's cluster and against any API server that a kubeconfig names, by
the same code; every figure says whether its time is the machine's or virtual; percentiles have one stated definition.

Left out on purpose: Go templates (see `expressions`), Prometheus, and measurements that need agents on nodes.
"""
