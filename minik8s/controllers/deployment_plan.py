"""What a Deployment needs done, as a pure function of it, its ReplicaSets and the time.

Upstream's `syncDeployment` writes as it goes; here the whole pass is decided first: which set to create, which to
change, which to delete, and what the status will be once that is done. As there, a pass makes one kind of step (grow,
shrink, rescale), and the next pass sees what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from minik8s.api.pods import is_terminal
from minik8s.controllers.deployment_revision import (
    REVISION,
    adopt_as_new,
    find_new,
    new_replica_set,
    outdated,
    resized,
)
from minik8s.controllers.deployment_rollout import (
    DESIRED,
    Limits,
    Sizes,
    active,
    is_rolling,
    rescale,
    roll,
    size,
    size_of_new,
)
from minik8s.controllers.deployment_status import (
    PROGRESSING,
    condition,
    conditions_of,
    counted,
    deadline_in,
    has_deadline,
    is_complete,
    paused_or_resumed,
    set_condition,
    with_progress,
)
from minik8s.machinery.meta import Doc, Obj, annotations_of, evolve, find_condition, is_terminating, name_of, uid_of


@attrs.frozen
class Change:
    """A ReplicaSet as it is and as it shall be."""

    before: Doc
    after: Doc

    @property
    def event(self) -> str:
        """`Scaled up replica set w-5b6f65c485 from 0 to 3`; "" when the size stays."""
        return scaling_event(name_of(self.after), size(self.before), size(self.after))


@attrs.frozen
class Plan:
    """`status` is what to say; `revision` the annotation the Deployment shall carry ("" leaves it).

    `recheck` is in how many seconds time alone may change the status (the progress deadline).
    """

    status: Obj
    revision: str = ""
    create: Obj | None = None
    changes: tuple[Change, ...] = ()
    delete: tuple[Doc, ...] = ()
    recheck: float | None = None


def scaling_event(name: str, before: int, after: int) -> str:
    if before == after:
        return ""
    return f"Scaled {'up' if after > before else 'down'} replica set {name} from {before} to {after}"


def plan(deployment: Doc, sets: Sequence[Doc], pods: Mapping[str, Sequence[Doc]], now: datetime) -> Plan:
    """`pods` has the pods of each set by the set's uid; only strategy Recreate looks at them."""
    limits = Limits.of(deployment)
    if is_terminating(deployment):
        return Plan(counted(deployment, sets, find_new(deployment, sets), limits, now))
    if (moved := paused_or_resumed(deployment, now)) is not None:
        deployment = _with_condition(deployment, moved)
    return _Pass(deployment, sets, pods, limits, now).decide()


def create_failed(deployment: Doc, rs: Doc, message: str, now: datetime) -> Obj:
    """The status after the new set could not be created."""
    text = f'Failed to create new replica set "{name_of(rs)}": {message}'
    failure = condition(PROGRESSING, "False", "ReplicaSetCreateError", text, now)
    status = dict(deployment.get("status") or {})
    return {**status, "conditions": set_condition(conditions_of(deployment), failure)}


def collided(deployment: Doc) -> Obj:
    """The status after the new set's name turned out to be taken: the next attempt hashes differently."""
    status = deployment.get("status") or {}
    return {**status, "collisionCount": (status.get("collisionCount") or 0) + 1}


class _Pass:
    """One pass over one Deployment: `new` and `old` are the sets as they will be."""

    def __init__(
        self,
        deployment: Doc,
        sets: Sequence[Doc],
        pods: Mapping[str, Sequence[Doc]],
        limits: Limits,
        now: datetime,
    ) -> None:
        self.deployment = deployment
        self.limits = limits
        self.pods = pods
        self.now = now
        self.before = {name_of(rs): rs for rs in sets}
        found = find_new(deployment, sets)
        self.old: list[Doc] = [rs for rs in sets if rs is not found]
        self.new: Doc | None = None if found is None else adopt_as_new(deployment, found, self.old)
        self.created: Obj | None = None

    def decide(self) -> Plan:
        paused = bool(self.deployment["spec"].get("paused"))
        if paused or self._is_rescaled():
            self._resize(rescale(self.limits, is_rolling(self.deployment), self.new, self.old, self._old_status()))
            return self._plan(self._counted(), cleanup=paused)
        if is_rolling(self.deployment):
            self._ensure_new()
            if self.new is not None:
                self._resize(roll(self.limits, self.new, self.old))
        else:
            self._recreate()
        status = with_progress(self.deployment, self._counted(), self._sets(), self.new, self.limits, self.now)
        return self._plan(status, cleanup=is_complete(self.deployment, status, self.limits))

    def _recreate(self) -> None:
        """Old sets go first, then their last pods, and only then does the new one come."""
        if active(self.old):
            self._resize({name_of(rs): 0 for rs in active(self.old)})
            return
        lingering = any((rs.get("status") or {}).get("replicas") for rs in self.old)
        if lingering or any(not is_terminal(pod) for rs in self.old for pod in self.pods.get(uid_of(rs), ())):
            return
        self._ensure_new()
        if self.new is not None and size(self.new) != self.limits.replicas:
            self._resize({name_of(self.new): self.limits.replicas})

    def _is_rescaled(self) -> bool:
        """Whether the Deployment's size is another than when its sets got theirs, and that changes something."""
        wanted = str(self.limits.replicas)
        living = active(self._sets())
        if all(annotations_of(rs).get(DESIRED, wanted) == wanted for rs in living):
            return False
        sizes = rescale(self.limits, is_rolling(self.deployment), self.new, self.old, self._old_status())
        return bool(sizes)

    def _ensure_new(self) -> None:
        if self.new is None:
            rolling = is_rolling(self.deployment)
            replicas = size_of_new(self.limits, rolling, self.old, 0)
            self.new = self.created = new_replica_set(self.deployment, self.old, replicas, self.limits)

    def _resize(self, sizes: Sizes) -> None:
        def apply(rs: Doc) -> Doc:
            wanted = sizes.get(name_of(rs))
            return rs if wanted is None else resized(rs, wanted, self.limits)

        self.old = [apply(rs) for rs in self.old]
        if self.new is not None and self.new is not self.created:
            self.new = apply(self.new)

    def _counted(self) -> Obj:
        """Counts and Available, after saying which set is the new one."""
        status = counted(self.deployment, self._sets(), self.new, self.limits, self.now)
        if self.new is None or not has_deadline(self.deployment):
            return status
        name, conditions = name_of(self.new), status["conditions"]
        if self.created is not None:
            reason, message = "NewReplicaSetCreated", f'Created new replica set "{name}"'
        elif find_condition(conditions, PROGRESSING) is None:
            reason, message = "FoundNewReplicaSet", f'Found new replica set "{name}"'
        else:
            return status
        told = set_condition(conditions, condition(PROGRESSING, "True", reason, message, self.now))
        return {**status, "conditions": told}

    def _plan(self, status: Obj, *, cleanup: bool) -> Plan:
        changes = [
            Change(before, rs)
            for rs in self._sets()
            if (before := self.before.get(name_of(rs))) is not None and rs is not before and rs != before
        ]
        revision = annotations_of(self.new).get(REVISION, "") if self.new is not None else ""
        return Plan(
            status,
            revision if revision != annotations_of(self.deployment).get(REVISION) else "",
            self.created,
            tuple(changes),
            tuple(outdated(self.deployment, self.old)) if cleanup else (),
            deadline_in(self.deployment, status, self.limits, self.now),
        )

    def _sets(self) -> list[Doc]:
        return self.old if self.new is None else [*self.old, self.new]

    def _old_status(self) -> Doc:
        return self.deployment.get("status") or {}


def _with_condition(deployment: Doc, new: Doc) -> Doc:
    conditions = set_condition(conditions_of(deployment), new)
    return evolve(deployment, "status", "conditions", value=conditions)
