"""How fast it is, beside what it is meant to be.

    python -m benchmarks            every figure
    python -m benchmarks http       one group: startup, writes, http, fanout

Figures are medians of several runs, each beside its budget as a ratio (below 1.0 the budget is kept). Absolute
numbers belong to the machine they were taken on; compare only what stands in one run. HTTP load comes from wrk when it
is installed, else from a small client in a process of its own.
"""
