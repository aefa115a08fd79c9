"""What a Deployment's status says while it rolls out, waits, is stuck, and when its history is cut."""

from __future__ import annotations

from datetime import timedelta

from minik8s.controllers.deployment_plan import collided, create_failed, plan
from minik8s.controllers.deployment_revision import REVISION, new_replica_set, outdated
from minik8s.controllers.deployment_rollout import Limits
from minik8s.machinery.meta import evolve, find_condition
from tests.controllers.deployments import START, Simulation, deployment, replica_set, with_image


def test_resuming_without_a_change_is_said() -> None:
    """A pause that brought nothing new ends in DeploymentResumed, then in completion."""
    sim = Simulation(deployment())
    sim.settle()
    sim.deployment = evolve(sim.deployment, "spec", "paused", value=True)
    sim.step()
    sim.deployment = evolve(sim.deployment, "spec", "paused", value=None)
    sim.settle()
    assert sim.condition("Progressing")[:2] == ("True", "NewReplicaSetAvailable")


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
