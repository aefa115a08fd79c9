"""How fast it is, beside what it is meant to be.

    python -m benchmarks            every figure
    python -m benchmarks http       some groups: startup, fixture, writes, http, fanout, relay, scheduling, scale,
                                    spawn, workloads
    python -m benchmarks.fuzz 300   how much it stands: hostile clients for five minutes

Figures are medians of several runs, each beside its budget as a ratio (up to 1.0 the budget is kept). Absolute numbers
belong to the machine they were taken on; compare only what stands in one run. Whatever loads a server does so from a
process of its own.

These hold our parts against their budgets. `minik8s bench` measures whole clusters by scenarios, ours and others' by
the same code; how to run it against kube-apiserver, etcd and KWOK says the docstring of `minik8s.bench`.
"""
