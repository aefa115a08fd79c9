"""APIResponsiveness: how long API calls take, at the client and, where we can look inside, at the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minik8s.bench.expressions import Value
from minik8s.bench.measuring import Measurement
from minik8s.bench.observing import Observed
from minik8s.bench.recording import Calls
from minik8s.bench.results import Result
from minik8s.bench.slo import api_verdicts

AT_CLIENT, AT_SERVER = "latency at the client", "latency at the server"


class ApiResponsiveness(Measurement):
    """Latencies are in real time always, for in virtual time a call takes none; counts belong to the cluster's time."""

    method = "APIResponsiveness"
    _before: Observed | None = None

    async def start(self, params: Mapping[str, Value]) -> None:
        self._calls = Calls()
        self._before = await self.world.observe()
        self._undo.append(self.world.recorder.record(self._calls))

    async def gather(self, params: Mapping[str, Value]) -> Sequence[Result]:
        self.close()
        after = await self.world.observe()
        results = [self.result(AT_CLIENT, self._calls.latency_series(), real=True, note="of the load's own calls")]
        counted, whose = self._calls, "of the load's own calls"
        if after is not None and self._before is not None:
            counted, whose = after.calls_since(self._before), "of everybody, the cluster's components too"
            results.append(self.result(AT_SERVER, counted.latency_series(), real=True, note=whose))
        self.verdicts += api_verdicts(results)
        results.append(self.result("requests by client", counted.count_series(), note=whose))
        results.append(self.result("failed requests", counted.failure_series(), note=whose))
        return results
