"""Who has a say in decisions beside the plugins: extenders, where there are any.

Without any a decision never suspends, and no HTTP client is loaded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from minik8s.clock import Clock
from minik8s.scheduler.cache import Cache
from minik8s.scheduler.cycle import Decision, Refusal, Scheduling
from minik8s.scheduler.extenders.configuration import ExtenderConfiguration
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.plugins.defaultpreemption import Candidate

Judge = Callable[[PodInfo, Sequence[Candidate], Cache], Awaitable[Sequence[Candidate]]]
"""Says what is left of the nodes where room can be made."""


class Outsiders(Protocol):
    """Methods raise PluginFailure when something goes wrong that may not."""

    @property
    def asked(self) -> Sequence[str]:
        """The URLs of those that have been asked and have not answered."""
        ...

    @property
    def judge(self) -> Judge | None:
        """Who has to be asked before pods are evicted."""
        ...

    async def decide(self, pod: PodInfo, scheduling: Scheduling, cache: Cache) -> Decision | Refusal:
        """The best node for the pod, or why there is none."""
        ...

    async def bind(self, pod: PodInfo, node: str) -> bool:
        """Whether one has bound the pod; else the plugins have to."""
        ...

    async def aclose(self) -> None: ...


class Nobody:
    """No outsiders."""

    asked = ()
    judge: Judge | None = None

    async def decide(self, pod: PodInfo, scheduling: Scheduling, cache: Cache) -> Decision | Refusal:
        return scheduling.decide(pod)

    async def bind(self, pod: PodInfo, node: str) -> bool:
        return False

    async def aclose(self) -> None:
        return None


def outsiders(extenders: Iterable[ExtenderConfiguration], clock: Clock) -> Outsiders:
    """Raises ConfigurationError for certificates that are none."""
    if not (listed := list(extenders)):
        return Nobody()
    from minik8s.scheduler.extenders.decision import Extenders

    return Extenders(listed, clock)
