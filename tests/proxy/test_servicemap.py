"""From Services and EndpointSlices to frontends: the pure part of the proxy."""

from typing import Any

from minik8s.proxy.servicemap import Changes, Endpoint, Frontend, ServicePort, diff, frontends_of


def service(**spec: Any) -> dict[str, Any]:
    port = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}
    full = {"type": "ClusterIP", "clusterIP": "127.96.0.10", "clusterIPs": ["127.96.0.10"], "ports": [port]} | spec
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": full, "status": {"loadBalancer": {}}}


def endpoint(address: str, node: str = "n1", **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


def slice_of(*endpoints: dict[str, Any], name: str = "web-1", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": list(endpoints),
    } | more


def frontends(service: dict[str, Any], *slices: dict[str, Any], nodes=None) -> dict[Frontend, ServicePort]:
    return frontends_of(service, slices, nodes=nodes, node_ports={"127.0.0.1": nodes})


def endpoints(service: dict[str, Any], *slices: dict[str, Any], nodes=None) -> list[str]:
    (port,) = frontends(service, *slices, nodes=nodes).values()
    return [e.address for e in port.endpoints]


def test_a_cluster_ip_becomes_a_frontend_with_the_ready_endpoints():
    """The frontend is the Service's address and port, its endpoints have the port of the slice."""
    found = frontends(service(), slice_of(endpoint("127.64.0.2", ready=True)))
    port = ServicePort("default", "web", "http", 80, "ClusterIP", (Endpoint("127.64.0.2", 8080),))
    assert found == {Frontend("TCP", "127.96.0.10", 80): port}


def test_headless_external_name_and_foreign_services_have_no_frontends():
    """There is nothing to listen on without a ClusterIP, and another proxy's Services are left to it."""
    assert frontends(service(clusterIP="None", clusterIPs=["None"])) == {}
    assert frontends(service(type="ExternalName", clusterIP="", clusterIPs=[])) == {}
    foreign = service()
    foreign["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "mesh"}
    assert frontends(foreign) == {}


def test_node_ports_external_ips_and_balancer_addresses_are_frontends_too():
    """Each address by which a Service can be reached is listened on; hostnames and proxied ingresses are not."""
    port = {"name": "http", "protocol": "UDP", "port": 80, "nodePort": 30080}
    svc = service(type="LoadBalancer", ports=[port], externalIPs=["127.9.9.9"])
    svc["status"]["loadBalancer"]["ingress"] = [
        {"ip": "127.8.8.8"},
        {"hostname": "lb.example"},
        {"ip": "127.8.8.9", "ipMode": "Proxy"},
    ]
    kinds = {str(frontend): port.kind for frontend, port in frontends(svc).items()}
    assert kinds == {
        "127.96.0.10:80/UDP": "ClusterIP",
        "127.9.9.9:80/UDP": "ExternalIP",
        "127.0.0.1:30080/UDP": "NodePort",
        "127.8.8.8:80/UDP": "LoadBalancer",
    }


def test_absent_conditions_mean_ready():
    """discovery/v1: an unknown readiness is to be taken as ready."""
    assert endpoints(service(), slice_of({"addresses": ["127.64.0.2"]})) == ["127.64.0.2"]


def test_terminating_endpoints_serve_only_when_no_other_is_left():
    """While a ready endpoint exists the leaving ones get nothing; afterwards those that still serve do."""
    ready = endpoint("127.64.0.2", ready=True, serving=True, terminating=False)
    leaving = endpoint("127.64.0.3", ready=False, serving=True, terminating=True)
    broken = endpoint("127.64.0.4", ready=False, serving=False, terminating=True)
    starting = endpoint("127.64.0.5", ready=False, serving=False, terminating=False)
    assert endpoints(service(), slice_of(ready, leaving, broken, starting)) == ["127.64.0.2"]
    assert endpoints(service(), slice_of(leaving, broken, starting)) == ["127.64.0.3"]
    assert endpoints(service(), slice_of(broken, starting)) == []


def test_a_local_policy_leaves_the_endpoints_of_this_machines_nodes():
    """internalTrafficPolicy Local keeps away endpoints elsewhere, ready or not; without node names all are here."""
    svc = service(internalTrafficPolicy="Local")
    here, there = endpoint("127.64.0.2", "n1", ready=True), endpoint("127.64.0.3", "n2", ready=True)
    assert endpoints(svc, slice_of(here, there), nodes={"n1"}) == ["127.64.0.2"]
    assert endpoints(svc, slice_of(here, there)) == ["127.64.0.2", "127.64.0.3"]


def test_the_external_policy_is_for_external_frontends_only():
    """externalTrafficPolicy Local restricts node ports, not the ClusterIP."""
    port = {"name": "http", "protocol": "TCP", "port": 80, "nodePort": 30080}
    svc = service(type="NodePort", ports=[port], externalTrafficPolicy="Local")
    found = frontends(svc, slice_of(endpoint("127.64.0.3", "n2", ready=True)), nodes={"n1"})
    assert {p.kind: len(p.endpoints) for p in found.values()} == {"ClusterIP": 1, "NodePort": 0}


def test_ports_are_matched_by_name_and_protocol_across_slices():
    """Slices that resolve a named port to different numbers all contribute; other ports' slices do not."""
    slices = [
        slice_of(endpoint("127.64.0.2"), name="a"),
        slice_of(endpoint("127.64.0.3"), name="b", ports=[{"name": "http", "protocol": "TCP", "port": 9090}]),
        slice_of(endpoint("127.64.0.4"), name="c", ports=[{"name": "http", "protocol": "UDP", "port": 8080}]),
        slice_of(endpoint("127.64.0.5"), name="d", ports=[{"name": "admin", "protocol": "TCP", "port": 8080}]),
        slice_of(endpoint("::5"), name="e", addressType="IPv6"),
    ]
    (port,) = frontends(service(), *slices).values()
    assert port.endpoints == (Endpoint("127.64.0.2", 8080), Endpoint("127.64.0.3", 9090))


def test_the_order_of_slices_does_not_matter_and_duplicates_count_once():
    """An endpoint that stands in two slices for a moment is one endpoint."""
    one = slice_of(endpoint("127.64.0.2"), endpoint("127.64.0.3"), name="a")
    two = slice_of(endpoint("127.64.0.3"), endpoint("127.64.0.4"), name="b")
    assert (
        endpoints(service(), one, two) == endpoints(service(), two, one) == ["127.64.0.2", "127.64.0.3", "127.64.0.4"]
    )


def test_client_affinity_has_upstreams_default():
    """ClientIP affinity lasts three hours unless the Service says otherwise."""
    (default,) = frontends(service(sessionAffinity="ClientIP")).values()
    config = {"clientIP": {"timeoutSeconds": 60}}
    (custom,) = frontends(service(sessionAffinity="ClientIP", sessionAffinityConfig=config)).values()
    (none,) = frontends(service(sessionAffinity="None")).values()
    assert (default.affinity, custom.affinity, none.affinity) == (10800, 60, None)


def test_source_ranges_restrict_the_load_balancer_only():
    """loadBalancerSourceRanges say who may use the load balancer's address, not the ClusterIP."""
    svc = service(type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8"])
    svc["status"]["loadBalancer"]["ingress"] = [{"ip": "127.8.8.8"}]
    found = {p.kind: [str(n) for n in p.sources] for p in frontends(svc).values()}
    assert found == {"ClusterIP": [], "LoadBalancer": ["10.0.0.0/8"]}


def test_diff_names_what_came_what_went_and_what_changed():
    """Frontends that are equal in both maps are not touched."""
    a, b, c = (Frontend("TCP", "127.96.0.1", n) for n in (1, 2, 3))
    port = ServicePort("default", "web", "", 1, "ClusterIP")
    changed = ServicePort("default", "web", "", 1, "ClusterIP", (Endpoint("127.64.0.1", 1),))
    assert diff({a: port, b: port}, {b: changed, c: port}) == Changes(closed=(a,), opened=(c,), updated=(b,))
    assert diff({a: port}, {a: port}) == Changes((), (), ())
