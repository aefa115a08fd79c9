"""What the endpoints controllers have in common."""

from typing import Any

from minik8s.controllers.service_endpoints import TriggerTimes, belongs, resolve_port, selects

SERVICE = {"metadata": {"name": "web", "namespace": "default", "creationTimestamp": "2024-01-01T00:00:05Z"}}


def pod(name: str, when: str = "", status: str = "True") -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": status, "lastTransitionTime": when}] if when else []
    return {"metadata": {"name": name, "uid": name}, "status": {"conditions": conditions}}


def test_the_trigger_is_the_earliest_of_what_is_new():
    """The Service's creation and pods' transitions count once each; what was seen before does not count again."""
    times = TriggerTimes()
    assert times.observe(SERVICE, []) == "2024-01-01T00:00:05Z"
    assert times.observe(SERVICE, [pod("a")]) == ""
    a, b = pod("a", "2024-01-01T00:00:09Z"), pod("b", "2024-01-01T00:00:07Z")
    assert times.observe(SERVICE, [a, b]) == "2024-01-01T00:00:07Z"
    assert times.observe(SERVICE, [a, b]) == ""
    assert times.observe(SERVICE, [a]) == ""


def test_two_transitions_within_a_second_are_two_triggers():
    """A pod that becomes ready in the second in which it was first seen is news all the same."""
    times = TriggerTimes()
    times.observe(SERVICE, [pod("a", "2024-01-01T00:00:09Z", "False")])
    assert times.observe(SERVICE, [pod("a", "2024-01-01T00:00:09Z", "True")]) == "2024-01-01T00:00:09Z"


def test_a_forgotten_service_is_new_again():
    """A Service that is deleted and made again starts afresh."""
    times = TriggerTimes()
    times.observe(SERVICE, [])
    times.forget("default", "web")
    assert times.observe(SERVICE, []) == "2024-01-01T00:00:05Z"


def test_a_selector_matches_all_its_labels_and_an_empty_one_nobody():
    """Every term has to hold; a Service without a selector selects no pod."""
    labelled = {"metadata": {"labels": {"app": "web", "tier": "front"}}}
    assert selects({"spec": {"selector": {"app": "web", "tier": "front"}}}, labelled)
    assert not selects({"spec": {"selector": {"app": "web", "tier": "back"}}}, labelled)
    assert not selects({"spec": {"selector": {}}}, labelled)


def test_a_pod_with_podips_only_belongs():
    """Either field may carry the address."""
    assert belongs({"metadata": {}, "status": {"podIPs": [{"ip": "127.64.0.1"}]}}, include_terminating=False)
    assert not belongs({"metadata": {}, "status": {}}, include_terminating=True)


def test_a_port_without_a_target_is_its_own():
    """An unset targetPort means the Service's port."""
    assert resolve_port({"spec": {"containers": []}}, {"port": 80}) == 80
