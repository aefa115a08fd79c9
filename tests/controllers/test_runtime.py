"""What every controller gets from the runtime, against a real API server."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from minik8s.api.resources import CONFIG_MAPS, REPLICA_SETS, SECRETS
from minik8s.controllers.runtime import Context, Reconciler, Requeue, mapped, owned
from minik8s.machinery.errors import Conflict, Forbidden
from minik8s.machinery.meta import name_of


class Recording(Reconciler[Any]):
    """Remembers its passes; `script` says what each pass of a name does, the last for ever."""

    name = "recording"
    component = "recording-controller"
    resource = CONFIG_MAPS
    watches = (mapped(SECRETS, "named_in"),)
    script: ClassVar[dict[str, list[Any]]] = {}

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.passes: list[tuple[str, float]] = []
        self.gone: list[tuple[str, str]] = []

    def named_in(self, secret: Any) -> Any:
        return [("default", name) for name in (secret["metadata"].get("labels") or {}).values()]

    async def reconcile(self, obj: Any) -> Requeue | None:
        name = name_of(obj)
        self.passes.append((name, self.clock.monotonic()))
        steps = self.script.get(name, [None])
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if isinstance(step, Exception):
            raise step
        return Requeue.after(step)

    async def deleted(self, namespace: str, name: str) -> None:
        self.gone.append((namespace, name))


def times(controller: Recording, name: str) -> list[float]:
    """When the passes over that object were, from the first one on."""
    found = [when for passed, when in controller.passes if passed == name]
    return [round(when - found[0], 3) for when in found]


def scripted(**script: list[Any]) -> type[Recording]:
    return type("Scripted", (Recording,), {"script": script})


def test_objects_wake(virtual: Any, start: Any) -> None:
    """What is there at the start, what comes, changes and goes leads to a pass."""

    async def body(clock: Any) -> None:
        async with start(clock, scripted()) as world:
            [controller] = world.manager.controllers
            await world.add("configmaps", "a", "default")
            await world.quiet()
            await world.client.patch(CONFIG_MAPS, "a", {"data": {"k": "v"}}, namespace="default")
            await world.quiet()
            await world.client.delete(CONFIG_MAPS, "a", namespace="default")
            await world.quiet()
            assert [name for name, _ in controller.passes] == ["a", "a"]
            assert controller.gone == [("default", "a")]
            assert controller.statistics().passes == 3
            assert controller.idle

    virtual(body)


def test_others_wake(virtual: Any, start: Any) -> None:
    """A watched object wakes what it refers to, and when it changes also what it used to refer to."""

    async def body(clock: Any) -> None:
        async with start(clock, scripted()) as world:
            [controller] = world.manager.controllers
            for name in ("old", "new"):
                await world.add("configmaps", name, "default")
            await world.quiet()
            controller.passes.clear()
            await world.add("secrets", "s", "default", metadata={"labels": {"use": "old"}})
            await world.quiet()
            assert [name for name, _ in controller.passes] == ["old"]
            await world.client.patch(SECRETS, "s", {"metadata": {"labels": {"use": "new"}}}, namespace="default")
            await world.quiet()
            assert sorted(name for name, _ in controller.passes) == ["new", "old", "old"]

    virtual(body)


def test_requeue(virtual: Any, start: Any) -> None:
    """A pass may ask for another one later; None asks for nothing."""

    async def body(clock: Any) -> None:
        async with start(clock, scripted(a=[10, 20, None])) as world:
            [controller] = world.manager.controllers
            await world.add("configmaps", "a", "default")
            await world.quiet(100)
            assert times(controller, "a") == [0, 10, 30]

    virtual(body)


def test_failures_are_retried(virtual: Any, start: Any) -> None:
    """Whatever the server refuses is tried again after 5 ms, 10 ms and so on; success forgets the failures."""

    async def body(clock: Any) -> None:
        failures = [Conflict("stale"), Forbidden("not yet"), OSError("nobody there"), 10, Conflict("again"), None]
        async with start(clock, scripted(a=failures)) as world:
            [controller] = world.manager.controllers
            await world.add("configmaps", "a", "default")
            await world.quiet(100)
            assert times(controller, "a") == pytest.approx([0, 0.005, 0.015, 0.035, 10.035, 10.04], abs=0.002)
            assert (controller.statistics().errors, controller.statistics().bugs) == (4, 0)

    virtual(body)


def test_bugs_end_a_strict_cluster(virtual: Any, start: Any) -> None:
    """Any other exception is a bug, and where tests are strict it comes out."""

    async def body(clock: Any) -> None:
        async with start(clock, scripted(a=[ZeroDivisionError("oops")])) as world:
            await world.add("configmaps", "a", "default")
            await world.quiet(100)

    with pytest.raises(BaseExceptionGroup) as raised:
        virtual(body)
    assert raised.value.split(ZeroDivisionError)[1] is None


def test_bugs_are_survived_elsewhere(virtual: Any, start: Any) -> None:
    """Where it is not strict a bug is counted and the object is tried again; other objects are not affected."""

    async def body(clock: Any) -> None:
        async with start(clock, scripted(a=[ZeroDivisionError("oops"), None]), strict=False) as world:
            [controller] = world.manager.controllers
            await world.add("configmaps", "a", "default")
            await world.add("configmaps", "b", "default")
            await world.quiet()
            assert [name for name, _ in controller.passes] == ["a", "b", "a"]
            assert controller.statistics().bugs == 1

    virtual(body)


@pytest.mark.parametrize(
    ("reference", "keys"),
    [
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True}, [("ns", "rs")]),
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": False}, []),
        ({"apiVersion": "apps/v1", "kind": "Deployment", "controller": True}, []),
        ({"apiVersion": "example.com/v1", "kind": "ReplicaSet", "controller": True}, []),
    ],
)
def test_owned(reference: Any, keys: Any) -> None:
    """An object wakes its controller if that is of the reconciler's group and kind."""

    class Sets:
        resource = REPLICA_SETS

    metadata = {"name": "p", "namespace": "ns", "ownerReferences": [{**reference, "name": "rs", "uid": "u"}]}
    assert list(owned(CONFIG_MAPS).keys(Sets(), {"metadata": metadata})) == keys


def test_workers_work_side_by_side(virtual: Any, start: Any) -> None:
    """As many objects as there are workers are in a pass at once, and no more."""

    class Slow(Recording):
        busy = 0
        most = 0

        async def reconcile(self, obj: Any) -> Requeue | None:
            self.busy += 1
            self.most = max(self.most, self.busy)
            await self.clock.sleep(10)
            self.busy -= 1
            return None

    async def body(clock: Any) -> None:
        async with start(clock, Slow) as world:
            [controller] = world.manager.controllers
            for number in range(12):
                await world.add("configmaps", f"c{number}", "default")
            await world.quiet(60)
            assert controller.most == controller.workers == 5
            assert controller.statistics().passes == 12

    virtual(body)
