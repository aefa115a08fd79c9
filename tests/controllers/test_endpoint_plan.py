"""What the Endpoints object of a Service says."""

from typing import Any

from minik8s.controllers.endpoint_plan import plan_endpoints, subsets_of, truncate

WEB = {"name": "web", "containerPort": 8080, "protocol": "TCP"}


def service(**spec: Any) -> dict[str, Any]:
    ports = [{"protocol": "TCP", "port": 80, "targetPort": 8080}]
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": "svc-1", "labels": {"team": "a"}},
        "spec": {"clusterIP": "127.96.0.9", "selector": {"app": "web"}, "ports": ports} | spec,
    }


def pod(number: int, *, ready: bool = True, port: int = 8080, **more: Any) -> dict[str, Any]:
    meta = {"name": f"web-{number}", "namespace": "default", "uid": f"pod-{number}", "labels": {"app": "web"}}
    container = {"name": "c", "ports": [WEB | {"containerPort": port}]}
    return {
        "metadata": meta | more.pop("metadata", {}),
        "spec": {"nodeName": "n1", "containers": [container]} | more,
        "status": {
            "phase": "Running",
            "podIP": f"127.64.0.{number}",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def address(number: int) -> dict[str, Any]:
    target = {"kind": "Pod", "namespace": "default", "name": f"web-{number}", "uid": f"pod-{number}"}
    return {"ip": f"127.64.0.{number}", "nodeName": "n1", "targetRef": target}


def test_ready_and_unready_pods_are_told_apart():
    """The object has the Service's name and labels, the controller's marks, and a subset with both kinds of address."""
    wanted = plan_endpoints(service(), [pod(2, ready=False), pod(3), pod(1)], None, trigger_time="2024-01-01T00:00:00Z")
    assert wanted == {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "web",
            "namespace": "default",
            "labels": {"team": "a", "endpoints.kubernetes.io/managed-by": "endpoint-controller"},
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2024-01-01T00:00:00Z"},
        },
        "subsets": [
            {
                "addresses": [address(1), address(3)],
                "notReadyAddresses": [address(2)],
                "ports": [{"port": 8080, "protocol": "TCP"}],
            }
        ],
    }


def test_a_service_without_pods_has_endpoints_without_subsets():
    """The object exists, and says nothing."""
    wanted = plan_endpoints(service(), [], None)
    assert wanted is not None
    assert "subsets" not in wanted
    assert "annotations" not in wanted["metadata"]


def test_terminating_pods_are_no_endpoints_unless_published_regardless():
    """A leaving pod is gone from Endpoints at once; with publishNotReadyAddresses it stays, and counts as ready."""
    leaving = pod(1, ready=False, metadata={"deletionTimestamp": "2024-01-01T00:00:00Z"})
    assert subsets_of(service(), [leaving]) == []
    (subset,) = subsets_of(service(publishNotReadyAddresses=True), [leaving])
    assert subset["addresses"] == [address(1)]


def test_ports_with_the_same_addresses_share_a_subset():
    """Two ports of the same pods are one subset; a named port that differs by pod makes one per number."""
    ports = [
        {"name": "a", "protocol": "TCP", "port": 80, "targetPort": "web"},
        {"name": "b", "protocol": "TCP", "port": 81, "targetPort": 81},
    ]
    svc = service(ports=ports)
    (both,) = subsets_of(svc, [pod(1), pod(2)])
    assert [(p["name"], p["port"]) for p in both["ports"]] == [("a", 8080), ("b", 81)]
    split = subsets_of(svc, [pod(1), pod(2, port=9090)])
    assert [([p["port"] for p in s["ports"]], [a["ip"] for a in s["addresses"]]) for s in split] == [
        ([8080], ["127.64.0.1"]),
        ([9090], ["127.64.0.2"]),
        ([81], ["127.64.0.1", "127.64.0.2"]),
    ]


def test_headless_services_may_have_no_ports():
    """Addresses without ports, the headless mark, and hostnames for DNS."""
    svc = service(clusterIP="None", ports=[])
    wanted = plan_endpoints(svc, [pod(1, hostname="db-0", subdomain="web")], None)
    assert wanted is not None
    assert wanted["subsets"] == [{"addresses": [address(1) | {"hostname": "db-0"}]}]
    assert wanted["metadata"]["labels"]["service.kubernetes.io/headless"] == ""


def test_an_equal_object_is_not_written():
    """Neither pods in another order nor another trigger time are a reason to write."""
    current = plan_endpoints(service(), [pod(1), pod(2)], None, trigger_time="2024-01-01T00:00:00Z")
    assert plan_endpoints(service(), [pod(2), pod(1)], current, trigger_time="2024-01-02T00:00:00Z") is None


def test_an_update_keeps_what_is_not_the_controllers():
    """The resourceVersion guards the write, foreign annotations stay, and a trigger time that is over goes."""
    current = {
        "metadata": {
            "name": "web",
            "namespace": "default",
            "resourceVersion": "7",
            "labels": {},
            "annotations": {"mine": "x", "endpoints.kubernetes.io/last-change-trigger-time": "2024-01-01T00:00:00Z"},
        }
    }
    wanted = plan_endpoints(service(), [pod(1)], current)
    assert wanted is not None
    assert wanted["metadata"]["resourceVersion"] == "7"
    assert wanted["metadata"]["annotations"] == {"mine": "x"}


def test_too_many_addresses_are_cut_and_marked():
    """Beyond the capacity unready addresses go first, then ready ones in proportion, and the annotation says so."""
    pods = [pod(n, ready=n < 6) for n in range(1, 9)]
    wanted = plan_endpoints(service(), pods, None, capacity=6)
    assert wanted is not None
    (subset,) = wanted["subsets"]
    assert (len(subset["addresses"]), len(subset["notReadyAddresses"])) == (5, 1)
    assert wanted["metadata"]["annotations"] == {"endpoints.kubernetes.io/over-capacity": "truncated"}
    assert plan_endpoints(service(), pods, wanted, capacity=6) is None, "what was cut is not written again"
    back = plan_endpoints(service(), pods[:3], wanted, capacity=6)
    assert back is not None
    assert "annotations" not in back["metadata"]


def test_cutting_is_in_proportion_to_the_subsets():
    """Every subset gives, and together they hold exactly the capacity."""
    many = [{"addresses": [{"ip": str(n)} for n in range(30)]}, {"addresses": [{"ip": str(n)} for n in range(10)]}]
    cut, truncated = truncate(many, 20)
    assert truncated
    assert [len(s["addresses"]) for s in cut] == [15, 5]
