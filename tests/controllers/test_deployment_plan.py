"""Deployments, decided without a cluster: one pass at a time, and whole rollouts simulated step by step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.controllers.deployment_plan import plan
from minik8s.controllers.deployment_revision import HISTORY, REVISION, find_new
from minik8s.controllers.deployment_rollout import DESIRED, MAX, Limits, rescale, roll
from minik8s.controllers.revision import template_hash, template_identity
from minik8s.machinery.meta import evolve, rfc3339
from tests.controllers.deployments import START, Simulation, deployment, replica_set, with_image


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


@pytest.mark.parametrize(("old_available", "expected"), [(11, {}), (5, {"old": 3}), (3, {"old": 3})])
def test_what_an_old_set_says_of_before(old_available: int, expected: Any) -> None:
    """One that has just been made smaller and still reports the pods it had is left alone until it has caught up."""
    new = replica_set("new", 3, available=2)
    assert roll(Limits(5, 0, 0), new, [replica_set("old", 5, age=1, available=old_available)]) == expected


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
