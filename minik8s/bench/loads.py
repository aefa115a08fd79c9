"""Reading tuning sets: which loads there are, what each must say, and which rates are impossible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from minik8s.bench.reading import Fields
from minik8s.bench.tuning import (
    HIGHEST_QPS,
    GlobalQpsLoad,
    Load,
    ParallelismLimitedLoad,
    QpsLoad,
    RandomizedLoad,
    RandomizedTimeLimitedLoad,
    SteppedLoad,
    TimeLimitedLoad,
    TuningSet,
)

MOST_PARALLEL: Final = 1000


def _qps(fields: Fields, key: str) -> float:
    return fields.number(key, high=HIGHEST_QPS)


LOADS: Final[Mapping[str, Callable[[Fields], Load]]] = {
    "qpsLoad": lambda f: QpsLoad(_qps(f, "qps")),
    "randomizedLoad": lambda f: RandomizedLoad(_qps(f, "averageQps")),
    "steppedLoad": lambda f: SteppedLoad(f.integer("burstSize", low=1), f.duration("stepDelay")),
    "timeLimitedLoad": lambda f: TimeLimitedLoad(f.duration("timeLimit")),
    "randomizedTimeLimitedLoad": lambda f: RandomizedTimeLimitedLoad(f.duration("timeLimit")),
    "parallelismLimitedLoad": lambda f: ParallelismLimitedLoad(
        f.integer("parallelismLimit", low=1, high=MOST_PARALLEL)
    ),
    "globalQPSLoad": lambda f: GlobalQpsLoad(_qps(f, "qps"), f.integer("burst", low=1)),
}


def tuning_set(fields: Fields) -> TuningSet:
    """One entry of `tuningSets`: a name and exactly one load."""
    name, delay = fields.text("name"), fields.duration("initialDelay", 0.0)
    found = [(key, inner) for key in LOADS if (inner := fields.mapping(key)) is not None]
    if len(found) != 1:
        fields.complain(f"{fields.path} must have exactly one load of {', '.join(LOADS)}")
    fields.close()
    load: Load = QpsLoad(1.0)
    for key, inner in found[:1]:
        load = LOADS[key](inner)
        inner.close()
    return TuningSet(name, load, delay)
