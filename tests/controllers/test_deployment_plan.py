"""Deployments, decided without a cluster: one pass at a time, and whole rollouts simulated step by step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.controllers.deployment_plan import Plan, collided, create_failed, plan
from minik8s.controllers.deployment_revision import HISTORY, REVISION, find_new, new_replica_set, outdated
from minik8s.controllers.deployment_rollout import DESIRED, MAX, Limits, rescale
from minik8s.controllers.revision import template_hash, template_identity
from minik8s.machinery.meta import evolve, find_condition, rfc3339

START = datetime(2026, 1, 1, tzinfo=UTC)


def deployment(replicas: int = 3, image: str = "v1", **spec: Any) -> Any:
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "ns", "uid": "D", "generation": 1, "annotations": {"team": "x"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            **spec,
        },
        "status": {},
    }


def with_image(obj: Any, image: str) -> Any:
    containers = [{"name": "c", "image": image}]
    changed = evolve(obj, "spec", "template", "spec", "containers", value=containers)
    return evolve(changed, "metadata", "generation", value=obj["metadata"]["generation"] + 1)


def replica_set(name: str, size: int, *, available: int | None = None, age: int = 0, **annotations: str) -> Any:
    available = size if available is None else available
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "uid": name,
            "creationTimestamp": rfc3339(START - timedelta(minutes=age)),
            "annotations": annotations,
            "generation": 1,
        },
        "spec": {"replicas": size, "selector": {}, "template": {"metadata": {}, "spec": {"name": name}}},
        "status": {
            "replicas": size,
            "readyReplicas": available,
            "availableReplicas": available,
            "observedGeneration": 1,
        },
    }


class Simulation:
    """A Deployment whose plans are carried out, and whose ReplicaSets get available pods when told."""

    def __init__(self, dep: Any) -> None:
        self.deployment = dep
        self.sets: dict[str, Any] = {}
        self.now = START
        self.events: list[str] = []
        self.pods: dict[str, list[Any]] = {}

    def step(self) -> Plan:
        """Decides, applies, and lets what has shrunk lose its unavailable pods first."""
        self.now += timedelta(seconds=1)
        todo = plan(self.deployment, list(self.sets.values()), self.pods, self.now)
        self.deployment = evolve(self.deployment, "status", value=todo.status)
        if todo.revision:
            self.deployment = evolve(self.deployment, "metadata", "annotations", REVISION, value=todo.revision)
        if todo.create is not None:
            name = todo.create["metadata"]["name"]
            meta = {"uid": f"uid-{name}", "creationTimestamp": rfc3339(self.now), "generation": 1}
            self.sets[name] = {**todo.create, "metadata": {**todo.create["metadata"], **meta}, "status": {}}
        for change in todo.changes:
            self.sets[change.after["metadata"]["name"]] = change.after
            self.events += [change.event] if change.event else []
        for gone in todo.delete:
            del self.sets[gone["metadata"]["name"]]
        for name, rs in self.sets.items():
            self._report(name, min(self.available(rs), rs["spec"]["replicas"]))
        return todo

    def _report(self, name: str, available: int) -> None:
        replicas = self.sets[name]["spec"]["replicas"]
        status = {"replicas": replicas, "readyReplicas": available, "availableReplicas": available}
        self.sets[name] = evolve(self.sets[name], "status", value={**status, "observedGeneration": 1})

    def available(self, rs: Any) -> int:
        return int(rs["status"].get("availableReplicas", 0))

    def start_pods(self, most: int = 1000) -> None:
        """Lets up to so many pods become available, in all sets together."""
        for name, rs in self.sets.items():
            more = min(most, rs["spec"]["replicas"] - self.available(rs))
            most -= more
            self._report(name, self.available(rs) + more)

    def settle(self) -> None:
        """Everything becomes available and every step is made until nothing changes."""
        for _ in range(200):
            self.start_pods()
            before = (self.deployment, dict(self.sets))
            self.step()
            if (self.deployment, dict(self.sets)) == before:
                return
        raise AssertionError("it never settles")

    @property
    def specified(self) -> int:
        return sum(rs["spec"]["replicas"] for rs in self.sets.values())

    @property
    def usable(self) -> int:
        return sum(map(self.available, self.sets.values()))

    def condition(self, type_: str) -> tuple[str, str, str]:
        found = find_condition(self.deployment["status"]["conditions"], type_)
        assert found is not None, self.deployment["status"]
        return found["status"], found["reason"], found["message"]


def test_first_pass_creates_the_set() -> None:
    """A new Deployment gets one ReplicaSet with all replicas, its labels, annotations and conditions."""
    todo = plan(deployment(), [], {}, START)
    assert todo.create is not None
    name = todo.create["metadata"]["name"]
    digest = name.removeprefix("web-")
    assert todo.create["metadata"]["labels"] == {"app": "web", "pod-template-hash": digest}
    assert todo.create["metadata"]["annotations"] == {"team": "x", REVISION: "1", DESIRED: "3", MAX: "4"}
    assert todo.create["spec"]["selector"] == {"matchLabels": {"app": "web", "pod-template-hash": digest}}
    assert todo.create["spec"]["replicas"] == 3
    assert todo.revision == "1"
    conditions = [(c["type"], c["status"], c["reason"], c["message"]) for c in todo.status["conditions"]]
    assert conditions == [
        ("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
        ("Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{name}"'),
    ]
    assert todo.status["unavailableReplicas"] == 3
    assert "readyReplicas" not in todo.status, "zero counts are not written"


def test_a_rollout_completes_and_says_so() -> None:
    """Progress is reported while pods come, completion once all are there, with upstream's texts."""
    sim = Simulation(deployment())
    sim.step()
    (name,) = sim.sets
    sim.start_pods(1)
    sim.step()
    assert sim.condition("Progressing") == ("True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
    sim.settle()
    done = f'ReplicaSet "{name}" has successfully progressed.'
    assert sim.condition("Progressing") == ("True", "NewReplicaSetAvailable", done)
    available = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    assert sim.condition("Available") == available
    assert sim.deployment["status"] | {"conditions": []} == {
        "observedGeneration": 1,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
        "conditions": [],
    }


def test_a_default_rolling_update_step_by_step() -> None:
    """Three replicas at 25 %: one more, one less, until the old set is empty; the events tell it as upstream does."""
    sim = Simulation(deployment())
    sim.settle()
    (old,) = sim.sets
    sim.deployment = with_image(sim.deployment, "v2")
    sim.events.clear()
    sim.settle()
    (new,) = set(sim.sets) - {old}
    assert sim.events == [
        f"Scaled down replica set {old} from 3 to 2",
        f"Scaled up replica set {new} from 1 to 2",
        f"Scaled down replica set {old} from 2 to 1",
        f"Scaled up replica set {new} from 2 to 3",
        f"Scaled down replica set {old} from 1 to 0",
    ]
    assert sim.sets[new]["metadata"]["annotations"][REVISION] == "2"


PERCENT_OR_NUMBER = st.one_of(st.integers(0, 5), st.integers(0, 100).map(lambda n: f"{n}%"))


@settings(max_examples=80, deadline=None)
@given(
    replicas=st.integers(0, 12),
    surge=PERCENT_OR_NUMBER,
    unavailable=PERCENT_OR_NUMBER,
    starts=st.lists(st.integers(0, 3), max_size=40),
    updates=st.integers(1, 3),
)
def test_rolling_updates_keep_their_promises(
    replicas: int, surge: Any, unavailable: Any, starts: list[int], updates: int
) -> None:
    """However slowly pods start and however often the template changes meanwhile: never more replicas than
    desired + maxSurge, never fewer available than desired − maxUnavailable, and it ends complete."""
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    sim = Simulation(deployment(replicas, strategy={"type": "RollingUpdate", "rollingUpdate": rolling}))
    sim.settle()
    limits = Limits.of(sim.deployment)
    for version in range(updates):
        sim.deployment = with_image(sim.deployment, f"v{version + 2}")
        for count in starts[version::updates]:
            sim.step()
            assert sim.specified <= replicas + limits.max_surge
            assert sim.usable >= replicas - limits.max_unavailable
            sim.start_pods(count)
    sim.settle()
    new = find_new(sim.deployment, list(sim.sets.values()))
    assert new is not None
    assert (sim.specified, sim.usable, new["spec"]["replicas"]) == (replicas, replicas, replicas)
    assert sim.condition("Progressing")[1] == "NewReplicaSetAvailable"


def test_unhealthy_old_replicas_go_first() -> None:
    """A broken old rollout does not block the next: its unavailable replicas are removed before healthy ones."""
    sim = Simulation(
        deployment(10, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}})
    )
    sim.settle()
    sim.deployment = with_image(sim.deployment, "broken")
    for _ in range(6):
        sim.step()
    broken = find_new(sim.deployment, list(sim.sets.values()))
    assert broken is not None
    assert broken["spec"]["replicas"] == 5
    assert sim.usable == 8
    sim.deployment = with_image(sim.deployment, "fixed")
    sim.step()
    assert sim.sets[broken["metadata"]["name"]]["spec"]["replicas"] == 0
    assert sim.usable == 8


def test_recreate_waits_for_the_last_old_pod() -> None:
    """All old replicas go at once; the new set comes only when no old pod runs, terminating ones included."""
    sim = Simulation(deployment(2, strategy={"type": "Recreate"}))
    sim.settle()
    (old,) = sim.sets
    sim.deployment = with_image(sim.deployment, "v2")
    sim.step()
    assert sim.sets[old]["spec"]["replicas"] == 0
    leaving = {"metadata": {"name": "p", "deletionTimestamp": rfc3339(START)}, "status": {"phase": "Running"}}
    sim.pods = {f"uid-{old}": [leaving]}
    assert sim.step().create is None
    sim.pods = {f"uid-{old}": [{**leaving, "status": {"phase": "Failed"}}]}
    created = sim.step().create
    assert created is not None
    assert created["spec"]["replicas"] == 2


def test_paused_deployments_scale_but_do_not_roll() -> None:
    """While paused a new template waits and a new size does not; the conditions say paused, then resumed."""
    sim = Simulation(deployment())
    sim.settle()
    sim.deployment = evolve(with_image(sim.deployment, "v2"), "spec", "paused", value=True)
    sim.step()
    assert sim.condition("Progressing") == ("Unknown", "DeploymentPaused", "Deployment is paused")
    sim.deployment = evolve(sim.deployment, "spec", "replicas", value=5)
    sim.step()
    assert len(sim.sets) == 1
    assert sim.specified == 5
    sim.deployment = evolve(sim.deployment, "spec", "paused", value=None)
    todo = sim.step()
    assert todo.create is not None
    reasons = {c["reason"] for c in todo.status["conditions"]}
    assert "NewReplicaSetCreated" in reasons


def test_resuming_without_a_change_is_said() -> None:
    """A pause that brought nothing new ends in DeploymentResumed, then in completion."""
    sim = Simulation(deployment())
    sim.settle()
    sim.deployment = evolve(sim.deployment, "spec", "paused", value=True)
    sim.step()
    sim.deployment = evolve(sim.deployment, "spec", "paused", value=None)
    sim.settle()
    assert sim.condition("Progressing")[:2] == ("True", "NewReplicaSetAvailable")


def test_returning_to_an_old_template_reuses_its_set() -> None:
    """A rollback makes the old set the new one, under a new revision; its former number goes to its history."""
    sim = Simulation(deployment())
    sim.settle()
    (first,) = sim.sets
    sim.deployment = with_image(sim.deployment, "v2")
    sim.settle()
    sim.deployment = with_image(sim.deployment, "v1")
    sim.settle()
    assert len(sim.sets) == 2
    annotations = sim.sets[first]["metadata"]["annotations"]
    assert (annotations[REVISION], annotations[HISTORY]) == ("3", "1")
    assert sim.deployment["metadata"]["annotations"][REVISION] == "3"
    assert sim.specified == sim.sets[first]["spec"]["replicas"] == 3


def test_deadline_passes() -> None:
    """Without progress for progressDeadlineSeconds the condition turns False, and stays so until there is some."""
    sim = Simulation(deployment(progressDeadlineSeconds=60))
    sim.step()
    (name,) = sim.sets
    assert sim.step().recheck == 61, "the pods' creation was progress"
    sim.now += timedelta(seconds=58)
    assert sim.step().recheck == 2
    sim.now += timedelta(seconds=3)
    todo = sim.step()
    late = f'ReplicaSet "{name}" has timed out progressing.'
    assert sim.condition("Progressing") == ("False", "ProgressDeadlineExceeded", late)
    assert todo.recheck is None
    sim.settle()
    assert sim.condition("Progressing")[:2] == ("True", "NewReplicaSetAvailable")


def test_no_deadline_no_condition() -> None:
    """progressDeadlineSeconds 2147483647 means that Progressing is not kept at all."""
    sim = Simulation(deployment(progressDeadlineSeconds=2**31 - 1))
    sim.settle()
    assert find_condition(sim.deployment["status"]["conditions"], "Progressing") is None


def test_progress_moves_only_the_update_time() -> None:
    """While it stays True, Progressing keeps its lastTransitionTime and renews its lastUpdateTime."""
    sim = Simulation(deployment())
    sim.step()
    before = find_condition(sim.deployment["status"]["conditions"], "Progressing")
    sim.start_pods(1)
    sim.step()
    after = find_condition(sim.deployment["status"]["conditions"], "Progressing")
    assert before is not None
    assert after is not None
    assert after["lastTransitionTime"] == before["lastTransitionTime"]
    assert after["lastUpdateTime"] > before["lastUpdateTime"]


def test_replica_failures_are_copied_and_removed() -> None:
    """A set that cannot create pods shows on the Deployment, until it can."""
    sim = Simulation(deployment())
    sim.step()
    (name,) = sim.sets
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
    sim.sets[name] = evolve(sim.sets[name], "status", "conditions", value=[failure])
    plan_now = plan(sim.deployment, list(sim.sets.values()), {}, START)
    found = find_condition(plan_now.status["conditions"], "ReplicaFailure")
    assert found is not None
    assert (found["status"], found["reason"], found["message"]) == ("True", "FailedCreate", "quota")
    sim.settle()
    assert find_condition(sim.deployment["status"]["conditions"], "ReplicaFailure") is None


@pytest.mark.parametrize(
    ("before", "after", "new", "old", "expected"),
    [
        (10, 12, 10, [], {"new": 12}),
        (10, 5, 10, [], {"new": 5}),
        (5, 10, 2, [3], {"new": 4, "v0": 6}),
        (5, 3, 2, [3], {"new": 1, "v0": 2}),
        (9, 4, 8, [1], {"new": 4, "v0": 0}),
        (7, 10, 2, [3, 2], {"new": 3, "v0": 4, "v1": 3}),
        (13, 8, 2, [8, 3], {"new": 1, "v0": 5, "v1": 2}),
        (3, 0, 2, [1], {"new": 0, "v0": 0}),
    ],
)
def test_proportional_scaling(before: int, after: int, new: int, old: list[int], expected: Any) -> None:
    """Golden cases of upstream's sync_test.go: each active set keeps its share."""
    limits = Limits(after, 0, 0)
    annotations = {DESIRED: str(before), MAX: str(before)}
    newest = replica_set("new", new, available=0, **annotations)
    olds = [replica_set(f"v{i}", count, age=i + 1, **annotations) for i, count in enumerate(old)]
    assert rescale(limits, True, newest, olds, {"replicas": before}) == expected


def test_scaling_during_a_rollout_goes_on_rolling_afterwards() -> None:
    """A change of size in the middle is shared out first; then the rollout completes at the new size."""
    sim = Simulation(deployment(8))
    sim.settle()
    sim.deployment = with_image(sim.deployment, "v2")
    sim.step()
    sim.deployment = evolve(sim.deployment, "spec", "replicas", value=16)
    sim.step()
    assert sim.specified == 16 + Limits.of(sim.deployment).max_surge
    sim.settle()
    assert sim.specified == sim.usable == 16


def test_history_is_cut() -> None:
    """Beyond revisionHistoryLimit empty old sets go, the lowest revisions first; sets with replicas stay."""
    olds = [replica_set(f"r{i}", 1 if i == 1 else 0, **{REVISION: str(i)}) for i in (3, 1, 2, 4)]
    assert [rs["metadata"]["name"] for rs in outdated(deployment(revisionHistoryLimit=2), olds)] == ["r2"]
    assert [rs["metadata"]["name"] for rs in outdated(deployment(revisionHistoryLimit=0), olds)] == ["r2", "r3", "r4"]


def test_history_limit_zero_leaves_only_the_new_set() -> None:
    """With no history wanted, the old set is deleted once the rollout is complete."""
    sim = Simulation(deployment(revisionHistoryLimit=0))
    sim.settle()
    sim.deployment = with_image(sim.deployment, "v2")
    sim.settle()
    assert len(sim.sets) == 1


def test_collision_gives_another_name() -> None:
    """After a counted collision the same template gets another hash."""
    dep = deployment()
    limits = Limits.of(dep)
    first = new_replica_set(dep, [], 3, limits)
    status = collided(dep)
    assert status["collisionCount"] == 1
    again = new_replica_set({**dep, "status": status}, [], 3, limits)
    assert again["metadata"]["name"] != first["metadata"]["name"]


def test_failed_creation_is_said() -> None:
    """The condition names the set and the error."""
    dep = deployment()
    rs = new_replica_set(dep, [], 3, Limits.of(dep))
    found = find_condition(create_failed(dep, rs, "no", START)["conditions"], "Progressing")
    assert found is not None
    text = f'Failed to create new replica set "{rs["metadata"]["name"]}": no'
    assert (found["status"], found["reason"], found["message"]) == ("False", "ReplicaSetCreateError", text)


def test_limits() -> None:
    """Surge rounds up, unavailable down, and both zero still moves; Recreate has neither."""
    assert Limits.of(deployment(10)) == Limits(10, 3, 2)
    assert Limits.of(deployment(1)) == Limits(1, 1, 0)
    none = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "1%"}}
    assert Limits.of(deployment(3, strategy=none)) == Limits(3, 0, 1)
    assert Limits.of(deployment(3, strategy={"type": "Recreate"})) == Limits(3, 0, 0)


def test_hash_ignores_the_hash_label_and_absent_fields() -> None:
    """The template of the set it made is the same template; alphabet and length are upstream's."""
    template = deployment()["spec"]["template"]
    digest = template_hash(template)
    labelled = evolve(template, "metadata", "labels", value={"app": "web", "pod-template-hash": digest})
    padded = evolve(labelled, "metadata", "annotations", value={})
    assert template_identity(padded) == template_identity(template)
    assert template_hash(padded) == digest
    assert set(digest) <= set("bcdfghjklmnpqrstvwxz2456789")
    assert 1 <= len(digest) <= 10
