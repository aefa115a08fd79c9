"""Measuring: scenarios that load a cluster, and honest figures of how it stood it.

    minik8s bench run density --nodes 100 --pods 3000 --runs 5 --out before

Upstream: kubernetes/perf-tests, clusterloader2, whose terms scenarios are written in. Read on in this order:
`scenario`, `tuning` (nouns); `reading`, `expressions`, `loads`, `methods`, `parsing` (from YAML to nouns, or to what
is wrong with it, line by line); `targets`, `server`, `wire`, `world`, `recording`, `observing` (the cluster under
test, and what is seen of it); `engine`, `mixing`, `measuring` (load and measurements); `running`, `warmup`,
`machine`, `session`, `rundir` (one run, and several); `histogram`, `results`, `slo`, `report`, `page`, `charts`,
`terminal` (what comes out); `ranks`, `compare`.

Promises: the same scenario runs against this project's cluster and against any API server that a kubeconfig names, by
the same code; every figure says whether its time is the machine's or virtual, and what is virtual is the same, byte
for byte, on every run with one seed; percentiles have one stated definition (`histogram`) and comparisons a stated
confidence (`ranks`); a machine that is too noisy gets a reason instead of a figure; what a run has made is deleted,
or named.

Peers. The same scenarios against kube-apiserver, etcd and KWOK, with the load generator outside of all of them as it
is for our own cluster in real time:

    kwokctl create cluster --runtime binary    # etcd, kube-apiserver, controllers, scheduler, kwok as real processes
    kwokctl scale node --replicas 100
    minik8s bench run density --param nodes=100 --pods 3000 --runs 5 --kubeconfig ~/.kube/config --out theirs
    minik8s bench run density --param nodes=100 --pods 3000 --runs 5 --out ours
    minik8s bench compare ours theirs

What cannot be seen from outside is absent there (latency at the server, queue times, CPU and memory of its
processes), and the report says so; scheduling throughput, pod startup, deletion latency, watch delay and latency at
the client are there for both. No such cluster was at hand where this was written: what was measured so is our own, by
its kubeconfig.

Left out on purpose: Go templates (see `expressions`), modules and chaos of clusterloader2, Prometheus, measurements
that need agents on nodes, and load from several machines: a generator that is at its own end says so in the report.
"""
