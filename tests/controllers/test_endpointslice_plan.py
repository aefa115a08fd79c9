"""What EndpointSlices a Service gets, and that a change touches as few of them as possible."""

import copy
from typing import Any

import pytest

from minik8s.controllers.endpointslice_plan import SlicePlan, plan_slices
from minik8s.machinery.meta import evolve

NODES: dict[str, Any] = {
    "n1": {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}},
    "n2": {"metadata": {"name": "n2"}},
}


def service(**spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "uid": "svc-1", "labels": {"team": "a"}},
        "spec": {"clusterIP": "127.96.0.9", "ipFamilies": ["IPv4"], "selector": {"app": "web"}, "ports": ports} | spec,
    }


def pod(number: int, *, ready: bool = True, terminating: bool = False, **spec: Any) -> dict[str, Any]:
    ip = f"127.64.{number // 250}.{number % 250 + 1}"
    meta: dict[str, Any] = {"name": f"web-{number:04}", "namespace": "default", "uid": f"pod-{number}"}
    if terminating:
        meta["deletionTimestamp"] = "2024-01-01T00:00:00Z"
    container = {"name": "c", "ports": [{"name": "web", "containerPort": 8080, "protocol": "TCP"}]}
    return {
        "metadata": meta | {"labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [container]} | spec,
        "status": {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def plan(svc: dict[str, Any], pods: list[Any], existing: list[Any] = (), **options: Any) -> SlicePlan:
    """A plan; its inputs must come out of it as they went in."""
    before = copy.deepcopy((svc, pods, list(existing)))
    result = plan_slices(svc, pods, existing, NODES, **options)
    assert before == (svc, pods, list(existing)), "a plan mutates nothing"
    return result


def apply(existing: list[Any], todo: SlicePlan) -> list[Any]:
    """The slices after the plan has been carried out."""
    slices = {s["metadata"]["name"]: s for s in existing}
    for slice_ in todo.delete:
        del slices[slice_["metadata"]["name"]]
    for slice_ in todo.update:
        assert slice_["metadata"]["name"] in slices
        slices[slice_["metadata"]["name"]] = slice_
    for number, slice_ in enumerate(todo.create):
        name = f"web-{len(existing)}-{number}"
        slices[name] = evolve(slice_, "metadata", "name", value=name)
    return list(slices.values())


def writes(todo: SlicePlan) -> tuple[int, int, int]:
    return len(todo.create), len(todo.update), len(todo.delete)


def addresses(slices: list[Any]) -> list[str]:
    return sorted(e["addresses"][0] for s in slices for e in s["endpoints"])


def test_a_service_gets_a_slice_with_upstreams_metadata():
    """Name prefix, labels, owner, annotation, ports and endpoints are those of Kubernetes."""
    todo = plan(service(), [pod(1)], trigger_time="2024-01-01T00:00:00Z")
    assert todo.create == [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": "web-",
                "namespace": "default",
                "labels": {
                    "team": "a",
                    "kubernetes.io/service-name": "web",
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                },
                "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2024-01-01T00:00:00Z"},
                "ownerReferences": [
                    {
                        "apiVersion": "v1",
                        "kind": "Service",
                        "name": "web",
                        "uid": "svc-1",
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [
                {
                    "addresses": ["127.64.0.2"],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "targetRef": {"kind": "Pod", "namespace": "default", "name": "web-0001", "uid": "pod-1"},
                    "nodeName": "n1",
                    "zone": "z1",
                }
            ],
        }
    ]
    assert (todo.update, todo.delete) == ([], [])


@pytest.mark.parametrize(
    ("ready", "terminating", "publish", "conditions"),
    [
        (True, False, False, (True, True, False)),
        (False, False, False, (False, False, False)),
        (True, True, False, (False, True, True)),
        (False, True, False, (False, False, True)),
        (False, False, True, (True, False, False)),
        (True, True, True, (True, True, True)),
    ],
)
def test_conditions(ready: bool, terminating: bool, publish: bool, conditions: tuple[bool, bool, bool]):
    """serving is the pod's readiness, and ready is that of one that does not terminate, or published regardless."""
    (slice_,) = plan(service(publishNotReadyAddresses=publish), [pod(1, ready=ready, terminating=terminating)]).create
    assert tuple(slice_["endpoints"][0]["conditions"].values()) == conditions


def test_pods_that_cannot_answer_are_left_out():
    """Neither finished pods nor those without an address are endpoints."""
    done, failed, young = pod(1), pod(2), pod(3)
    done["status"]["phase"], failed["status"]["phase"] = "Succeeded", "Failed"
    young["status"] = {"phase": "Pending"}
    (slice_,) = plan(service(), [done, failed, young, pod(4)]).create
    assert addresses([slice_]) == ["127.64.0.5"]


def test_pods_of_unknown_nodes_wait_unless_published_regardless():
    """A pod whose node is gone must not stay an endpoint for ever."""
    todo = plan(service(), [pod(1), pod(2, nodeName="gone")])
    assert addresses(todo.create) == ["127.64.0.2"]
    assert todo.missing_nodes
    todo = plan(service(publishNotReadyAddresses=True), [pod(2, nodeName="gone")])
    assert addresses(todo.create) == ["127.64.0.3"]
    assert not todo.missing_nodes


def test_named_ports_resolve_per_pod_and_group_slices():
    """Pods that give a named port different numbers stand in different slices, sidecars' ports count too."""
    ports = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "web", "appProtocol": "h2c"}]
    other = {"name": "c", "ports": [{"name": "web", "containerPort": 9090}]}
    sidecar = {"name": "s", "restartPolicy": "Always", "ports": [{"name": "web", "containerPort": 7070}]}
    pods = [
        pod(1),
        pod(2, containers=[other]),
        pod(3, containers=[{"name": "c"}], initContainers=[sidecar]),
        pod(4, containers=[{"name": "c"}]),
    ]
    todo = plan(service(ports=ports), pods)
    assert {s["endpoints"][0]["addresses"][0]: s["ports"] for s in todo.create} == {
        "127.64.0.2": [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "h2c"}],
        "127.64.0.3": [{"name": "http", "port": 9090, "protocol": "TCP", "appProtocol": "h2c"}],
        "127.64.0.4": [{"name": "http", "port": 7070, "protocol": "TCP", "appProtocol": "h2c"}],
        "127.64.0.5": [],
    }


def test_a_port_name_of_another_protocol_does_not_count():
    """A named port matches by name and protocol."""
    ports = [{"name": "dns", "protocol": "UDP", "port": 53, "targetPort": "web"}]
    (slice_,) = plan(service(ports=ports), [pod(1)]).create
    assert slice_["ports"] == []


def test_headless_services_have_the_label_and_hostnames():
    """The headless mark is set, endpoints carry the hostname of pods in the Service's subdomain, ports may be none."""
    svc = service(clusterIP="None", ports=[])
    (slice_,) = plan(svc, [pod(1, hostname="db-0", subdomain="web"), pod(2, hostname="x", subdomain="other")]).create
    assert slice_["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert [e.get("hostname") for e in slice_["endpoints"]] == ["db-0", None]
    assert slice_["ports"] == []


def test_a_service_without_pods_has_one_empty_slice():
    """The placeholder is made once, left alone, filled when pods come and emptied when they go."""
    todo = plan(service(), [])
    assert writes(todo) == (1, 0, 0)
    assert (todo.create[0]["endpoints"], todo.create[0]["ports"]) == ([], [])
    slices = apply([], todo)
    assert writes(plan(service(), [], slices)) == (0, 0, 0)
    todo = plan(service(), [pod(1)], slices)
    assert writes(todo) == (0, 1, 0)
    slices = apply(slices, todo)
    assert slices[0]["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    todo = plan(service(), [], slices)
    assert writes(todo) == (0, 1, 0)
    assert apply(slices, todo)[0]["endpoints"] == []


def test_what_is_right_is_not_written():
    """A second pass over the same world plans nothing, whatever the order of the pods or the trigger time."""
    pods = [pod(n) for n in range(250)]
    slices = apply([], plan(service(), pods, trigger_time="2024-01-01T00:00:00Z"))
    assert sorted(len(s["endpoints"]) for s in slices) == [50, 100, 100]
    assert writes(plan(service(), pods[::-1], slices[::-1], trigger_time="2024-01-02T00:00:00Z")) == (0, 0, 0)


def test_a_changed_condition_updates_its_slice_alone():
    """One pod becoming unready is one update, of the slice it is in, with the time that triggered it."""
    pods = [pod(n) for n in range(250)]
    slices = apply([], plan(service(), pods))
    pods[120] = pod(120, ready=False)
    todo = plan(service(), pods, slices, trigger_time="2024-01-02T00:00:00Z")
    assert writes(todo) == (0, 1, 0)
    (changed,) = todo.update
    assert len(changed["endpoints"]) == 100
    stamp = changed["metadata"]["annotations"]["endpoints.kubernetes.io/last-change-trigger-time"]
    assert stamp == "2024-01-02T00:00:00Z"


def test_newcomers_go_where_there_is_room():
    """A new endpoint fills the fullest slice that has room; only when none has is another slice made."""
    pods = [pod(n) for n in range(150)]
    slices = apply([], plan(service(), pods))
    todo = plan(service(), [*pods, pod(200)], slices)
    assert writes(todo) == (0, 1, 0)
    assert len(todo.update[0]["endpoints"]) == 51
    full = [pod(n) for n in range(200)]
    slices = apply([], plan(service(), full))
    assert writes(plan(service(), [*full, pod(300)], slices)) == (1, 0, 0)


def test_a_replacement_changes_only_the_slice_that_it_came_from():
    """When a pod goes and another comes, the hole that is left is the place for the newcomer."""
    pods = [pod(n) for n in range(250)]
    slices = apply([], plan(service(), pods))
    todo = plan(service(), [*pods[1:], pod(300)], slices)
    assert writes(todo) == (0, 1, 0)
    assert addresses(apply(slices, todo)) == sorted(p["status"]["podIP"] for p in [*pods[1:], pod(300)])


def test_emptied_slices_go_while_others_remain():
    """A slice that has lost all its endpoints is deleted."""
    pods = [pod(n) for n in range(150)]
    slices = apply([], plan(service(), pods))
    small = min(slices, key=lambda s: len(s["endpoints"]))
    gone = {e["addresses"][0] for e in small["endpoints"]}
    todo = plan(service(), [p for p in pods if p["status"]["podIP"] not in gone], slices)
    assert writes(todo) == (0, 0, 1)
    assert todo.delete == [small]


def test_a_changed_port_reuses_slices():
    """Slices of other ports are rewritten under their names rather than deleted and made anew."""
    pods = [pod(n) for n in range(150)]
    slices = apply([], plan(service(), pods))
    ports = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 9999}]
    todo = plan(service(ports=ports), pods, slices)
    assert writes(todo) == (0, 2, 0)
    after = apply(slices, todo)
    assert {s["ports"][0]["port"] for s in after} == {9999}
    assert len(addresses(after)) == 150


def test_the_services_labels_are_followed():
    """A label added to or removed from the Service is so on its slices; nobody else's labels stay."""
    slices = apply([], plan(service(), [pod(1)]))
    relabelled = evolve(service(), "metadata", "labels", value={"team": "b", "kubernetes.io/service-name": "liar"})
    (changed,) = plan(relabelled, [pod(1)], slices).update
    assert changed["metadata"]["labels"] == {
        "team": "b",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }


def test_slices_of_a_former_service_of_the_name_are_replaced():
    """A slice owned by another uid is deleted, never taken over: it is about to be garbage collected."""
    slices = apply([], plan(service(), [pod(1)]))
    reborn = evolve(service(), "metadata", "uid", value="svc-2")
    todo = plan(reborn, [pod(1)], slices)
    assert writes(todo) == (1, 0, 1)
    assert todo.create[0]["metadata"]["ownerReferences"][0]["uid"] == "svc-2"


def test_slices_of_others_are_left_alone():
    """A slice without this controller's mark is neither counted nor changed."""
    foreign = evolve(apply([], plan(service(), [pod(1)]))[0], "metadata", "labels", value={})
    assert writes(plan(service(), [pod(1)], [foreign])) == (1, 0, 0)


def test_dual_stack_services_have_slices_of_both_families():
    """Each family of the Service has slices of its own with the pods' addresses of that family, and no others."""
    dual = pod(1)
    dual["status"]["podIPs"] = [{"ip": "127.64.0.2"}, {"ip": "fd00::2"}]
    todo = plan(service(ipFamilies=["IPv4", "IPv6"]), [dual])
    found = {s["addressType"]: s["endpoints"][0]["addresses"] for s in todo.create}
    assert found == {"IPv4": ["127.64.0.2"], "IPv6": ["fd00::2"]}
    slices = apply([], todo)
    todo = plan(service(), [dual], slices)
    assert [s["addressType"] for s in todo.delete] == ["IPv6"]


def test_a_terminating_service_gets_no_new_slices():
    """While a finalizer holds the Service, existing slices follow the pods but none is made."""
    going = evolve(service(), "metadata", "deletionTimestamp", value="2024-01-01T00:00:00Z")
    assert writes(plan(going, [pod(1)])) == (0, 0, 0)


@pytest.mark.parametrize(
    ("distribution", "mode", "ready", "hints"),
    [
        (None, "", True, None),
        ("PreferClose", "", True, {"forZones": [{"name": "z1"}]}),
        ("PreferSameZone", "", True, {"forZones": [{"name": "z1"}]}),
        ("PreferSameNode", "", True, {"forZones": [{"name": "z1"}], "forNodes": [{"name": "n1"}]}),
        ("PreferSameNode", "", False, None),
        ("PreferSameNode", "Auto", True, None),
        ("PreferSameNode", "Disabled", True, {"forZones": [{"name": "z1"}], "forNodes": [{"name": "n1"}]}),
    ],
)
def test_hints(distribution: str | None, mode: str, ready: bool, hints: Any) -> None:
    """trafficDistribution becomes hints of ready endpoints, and they go with it."""
    spread = service(**({"trafficDistribution": distribution} if distribution else {}))
    if mode:
        spread = evolve(spread, "metadata", "annotations", value={"service.kubernetes.io/topology-mode": mode})
    [slice_] = plan(spread, [pod(1, ready=ready)]).create
    assert slice_["endpoints"][0].get("hints") == hints
    assert slice_["endpoints"][0]["zone"] == "z1"
    named = evolve(slice_, "metadata", "name", value="web-1")
    update = plan(service(), [pod(1, ready=ready)], [named]).update
    assert bool(update) == bool(hints)
    assert not any("hints" in endpoint for changed in update for endpoint in changed["endpoints"])
