"""The official Python client, typed and dynamic, as its users write it: over TLS, with nothing but a kubeconfig."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from kubernetes.informer import SharedInformer
from kubernetes.leaderelection.electionconfig import Config as ElectionConfig
from kubernetes.leaderelection.leaderelection import LeaderElection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

from minik8s.blocking import BlockingCluster

SECONDS = 20
"""How long a watch may take to see what it waits for; a safety net, no test uses it up."""
POD = {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "busybox"}]}


@pytest.fixture(scope="module")
def api(wire_cluster: BlockingCluster) -> Iterator[client.ApiClient]:
    """The client as its `load_kube_config` configures it."""
    api = config.new_client_from_config(str(wire_cluster.kubeconfig))
    yield api
    api.rest_client.pool_manager.clear()


@pytest.fixture
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


@pytest.fixture
def apps(api: client.ApiClient) -> client.AppsV1Api:
    return client.AppsV1Api(api)


def until(list_function: Callable[..., Any], condition: Callable[[str, Any], bool], **options: Any) -> Any:
    """Watches until an event's type and object satisfy the condition; answers the object."""
    for event in watch.Watch().stream(list_function, timeout_seconds=SECONDS, **options):
        if condition(event["type"], event["object"]):
            return event["object"]
    raise AssertionError("the watch timed out")


def ready(count: int) -> Callable[[str, Any], bool]:
    return lambda type_, obj: obj.status.ready_replicas == count == obj.status.replicas


def running(type_: str, pod: Any) -> bool:
    return bool(pod.status.phase == "Running")


def deleted(type_: str, obj: Any) -> bool:
    return type_ == "DELETED"


def caught(function: Callable[[], Any]) -> tuple[int, str]:
    """Status code and body of the error that a call ends with."""
    with pytest.raises(ApiException) as error:
        function()
    return error.value.status, str(error.value.body)


def test_objects_are_created_changed_and_deleted(core: client.CoreV1Api, namespace: str) -> None:
    """Typed bodies without Content-Type; a dict patches strategically, a list is a JSON patch; a Status at the end."""
    metadata = client.V1ObjectMeta(name="settings", labels={"tier": "front"})
    created = core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=metadata, data={"a": "1"}))
    created.data["b"] = "2"
    replaced = core.replace_namespaced_config_map("settings", namespace, created)
    assert replaced.metadata.resource_version > created.metadata.resource_version
    merged = core.patch_namespaced_config_map("settings", namespace, {"data": {"c": "3"}})
    assert merged.data == {"a": "1", "b": "2", "c": "3"}
    patched = core.patch_namespaced_config_map("settings", namespace, [{"op": "remove", "path": "/data/a"}])
    assert patched.data == {"b": "2", "c": "3"}
    status, body = caught(lambda: core.replace_namespaced_config_map("settings", namespace, created))
    assert (status, "the object has been modified" in body) == (409, True)
    answer = core.delete_namespaced_config_map("settings", namespace, body=client.V1DeleteOptions())
    assert answer["kind"] == "Status"
    status, body = caught(lambda: core.read_namespaced_config_map("settings", namespace))
    assert (status, 'configmaps \\"settings\\" not found' in body) == (404, True)


def test_lists_select_and_page(core: client.CoreV1Api, namespace: str) -> None:
    """Selectors, limit and continue, and deletecollection by selector."""
    for number in range(5):
        metadata = {"name": f"cm-{number}", "labels": {"odd": str(number % 2)}}
        core.create_namespaced_config_map(namespace, {"metadata": metadata})
    first = core.list_namespaced_config_map(namespace, label_selector="odd", limit=3)
    rest = core.list_namespaced_config_map(namespace, label_selector="odd", limit=3, _continue=first.metadata._continue)
    assert [item.metadata.name for item in first.items + rest.items] == [f"cm-{number}" for number in range(5)]
    assert rest.metadata._continue is None
    core.delete_collection_namespaced_config_map(namespace, label_selector="odd=1")
    left = core.list_namespaced_config_map(namespace, label_selector="odd")
    assert [item.metadata.name for item in left.items] == ["cm-0", "cm-2", "cm-4"]
    named = core.list_namespaced_config_map(namespace, field_selector="metadata.name=cm-2")
    assert [item.metadata.name for item in named.items] == ["cm-2"]


def test_watch_goes_on_where_a_list_ended(core: client.CoreV1Api, namespace: str) -> None:
    """A watch from a list's version shows what happened since, once and in order, and ends in time with a bookmark."""
    version = core.list_namespaced_config_map(namespace).metadata.resource_version
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
    core.patch_namespaced_config_map("a", namespace, {"data": {"x": "y"}})
    core.delete_namespaced_config_map("a", namespace)
    watcher = watch.Watch()
    options = {"resource_version": version, "timeout_seconds": 1, "allow_watch_bookmarks": True}
    events = [
        (event["type"], event["raw_object"]["metadata"].get("name"))
        for event in watcher.stream(core.list_namespaced_config_map, namespace, **options)
    ]
    assert events == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("BOOKMARK", None)]
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "b"}})
    resumed = watcher.stream(
        core.list_namespaced_config_map, namespace, resource_version=watcher.resource_version, timeout_seconds=SECONDS
    )
    assert next(resumed)["object"].metadata.name == "b"
    resumed.close()


def test_streaming_list(core: client.CoreV1Api, namespace: str) -> None:
    """sendInitialEvents shows what is, then a bookmark that says so, then what happens."""
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}})
    stream = watch.Watch().stream(
        core.list_namespaced_config_map,
        namespace,
        label_selector="!kubernetes.io/none",
        field_selector="metadata.name!=kube-root-ca.crt",
        send_initial_events=True,
        resource_version_match="NotOlderThan",
        allow_watch_bookmarks=True,
        timeout_seconds=SECONDS,
    )
    first, mark = next(stream), next(stream)
    assert (first["type"], first["object"].metadata.name) == ("ADDED", "a")
    assert mark["type"] == "BOOKMARK"
    assert mark["raw_object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "b"}})
    assert next(stream)["object"].metadata.name == "b"
    stream.close()


def test_a_watch_of_forgotten_history_is_gone() -> None:
    """Compacted history ends a watch with 410 Expired, and a continue token of it a list."""
    with BlockingCluster(nodes=0, history=16) as cluster:
        api = config.new_client_from_config(str(cluster.kubeconfig))
        core = client.CoreV1Api(api)
        for number in range(3):
            core.create_namespaced_config_map("default", {"metadata": {"name": f"cm-{number}"}})
        page = core.list_namespaced_config_map("default", limit=1)
        for number in range(100):
            core.patch_namespaced_config_map("cm-0", "default", {"data": {"n": str(number)}})
        version = page.metadata.resource_version
        with pytest.raises(ApiException, match="too old resource version") as gone:
            next(watch.Watch().stream(core.list_namespaced_config_map, "default", resource_version=version))
        assert gone.value.status == 410
        token = page.metadata._continue
        status, body = caught(lambda: core.list_namespaced_config_map("default", limit=1, _continue=token))
        assert (status, "continue parameter is too old" in body) == (410, True)
        api.rest_client.pool_manager.clear()


def test_deployment_scale_and_status(apps: client.AppsV1Api, namespace: str, web: dict[str, Any]) -> None:
    """A Deployment becomes ready, is scaled through its subresource by patch and by replace, and has a status."""
    apps.create_namespaced_deployment(namespace, web)
    until(apps.list_namespaced_deployment, ready(2), namespace=namespace, field_selector="metadata.name=web")
    scale = apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 3}})
    assert (scale.spec.replicas, scale.status.selector) == (3, "app=web")
    until(apps.list_namespaced_deployment, ready(3), namespace=namespace)
    body = client.V1Scale(metadata=client.V1ObjectMeta(name="web"), spec=client.V1ScaleSpec(replicas=1))
    assert apps.replace_namespaced_deployment_scale("web", namespace, body).spec.replicas == 1
    until(apps.list_namespaced_deployment, ready(1), namespace=namespace)
    condition = {"type": "Reviewed", "status": "True", "reason": "Test", "message": ""}
    patched = apps.patch_namespaced_deployment_status(
        "web", namespace, {"spec": {"replicas": 7}, "status": {"conditions": [condition]}}
    )
    assert patched.spec.replicas == 1, "a write to /status leaves the spec"
    assert {"Available", "Progressing", "Reviewed"} == {c.type for c in patched.status.conditions}
    assert apps.read_namespaced_deployment_status("web", namespace).status.ready_replicas == 1
    version = apps.list_namespaced_replica_set(namespace).metadata.resource_version
    apps.delete_namespaced_deployment("web", namespace, propagation_policy="Foreground")
    until(apps.list_namespaced_replica_set, deleted, namespace=namespace, resource_version=version)


def test_pod_logs_are_followed_to_the_end(core: client.CoreV1Api, namespace: str) -> None:
    """read_log answers text; a followed log goes on while the container runs and ends with it."""
    core.create_namespaced_pod(namespace, {"metadata": {"name": "pod"}, "spec": POD})
    until(core.list_namespaced_pod, running, namespace=namespace)
    assert "simulated start" in core.read_namespaced_pod_log("pod", namespace, tail_lines=2)
    lines = watch.Watch().stream(core.read_namespaced_pod_log, "pod", namespace)
    assert "simulated start" in next(lines)
    pod = core.delete_namespaced_pod("pod", namespace)
    assert (pod.kind, pod.metadata.deletion_grace_period_seconds) == ("Pod", 1)
    assert "simulated exit" in list(lines)[-1]


def test_binding_and_eviction(core: client.CoreV1Api, api: client.ApiClient, namespace: str) -> None:
    """A scheduler of one's own binds a pod; eviction deletes it, unless a disruption budget forbids."""
    metadata = client.V1ObjectMeta(name="pod")
    core.create_namespaced_pod(
        namespace, {"metadata": {"name": "pod", "labels": {"app": "x"}}, "spec": {**POD, "schedulerName": "mine"}}
    )
    target = client.V1ObjectReference(kind="Node", name="node-2")
    core.create_namespaced_pod_binding(
        "pod", namespace, client.V1Binding(metadata=metadata, target=target), _preload_content=False
    )
    pod = until(core.list_namespaced_pod, running, namespace=namespace)
    assert pod.spec.node_name == "node-2"
    policy = client.PolicyV1Api(api)
    budget = {"metadata": {"name": "all"}, "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "x"}}}}
    policy.create_namespaced_pod_disruption_budget(namespace, budget)
    counts = {"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    policy.patch_namespaced_pod_disruption_budget_status(
        "all", namespace, {"status": {**counts, "disruptionsAllowed": 0}}
    )
    eviction = client.V1Eviction(metadata=metadata)
    status, body = caught(lambda: core.create_namespaced_pod_eviction("pod", namespace, eviction))
    assert (status, "it would violate the pod's disruption budget" in body) == (429, True)
    policy.delete_namespaced_pod_disruption_budget("all", namespace)
    version = core.list_namespaced_pod(namespace).metadata.resource_version
    core.create_namespaced_pod_eviction("pod", namespace, eviction)
    until(core.list_namespaced_pod, deleted, namespace=namespace, resource_version=version)


def test_events(core: client.CoreV1Api, api: client.ApiClient, namespace: str) -> None:
    """An Event of one API version is found by field selector in both."""
    about = {"kind": "Pod", "name": "pod", "namespace": namespace}
    core.create_namespaced_event(
        namespace,
        {
            "metadata": {"generateName": "pod."},
            "involvedObject": about,
            "reason": "Tested",
            "message": "hello",
            "type": "Normal",
            "eventTime": "2026-01-01T00:00:00.000001Z",
            "action": "Testing",
            "reportingComponent": "example.com/test",
            "reportingInstance": "test-0",
        },
    )
    old = core.list_namespaced_event(namespace, field_selector="involvedObject.name=pod,reason=Tested").items
    assert [(event.message, event.involved_object.name) for event in old] == [("hello", "pod")]
    events = client.EventsV1Api(api)
    new = events.list_namespaced_event(namespace, field_selector="regarding.name=pod,reason=Tested").items
    assert [(event.note, event.regarding.name) for event in new] == [("hello", "pod")]
    assert new[0].event_time.microsecond == 1


def test_reviews_and_tokens(core: client.CoreV1Api, api: client.ApiClient, namespace: str) -> None:
    """Who am I, may I, and a ServiceAccount's token that the API server accepts."""
    authentication, authorization = client.AuthenticationV1Api(api), client.AuthorizationV1Api(api)
    assert authentication.create_self_subject_review({}).status.user_info.username == "system:admin"
    attributes = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": namespace}}
    assert authorization.create_self_subject_access_review({"spec": attributes}).status.allowed
    issued = core.create_namespaced_service_account_token("default", namespace, {"spec": {"expirationSeconds": 600}})
    review = authentication.create_token_review({"spec": {"token": issued.status.token}})
    assert review.status.authenticated
    assert review.status.user.username == f"system:serviceaccount:{namespace}:default"


def test_server_side_apply_by_content_type(core: client.CoreV1Api, namespace: str) -> None:
    """patch with the apply content type creates, owns, and conflicts with another manager."""
    kind = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}}

    def apply(manager: str, value: str) -> Any:
        return core.patch_namespaced_config_map(
            "cm",
            namespace,
            {**kind, "data": {"a": value}},
            field_manager=manager,
            _content_type="application/apply-patch+yaml",
        )

    assert apply("one", "1").data == {"a": "1"}
    status, body = caught(lambda: apply("two", "2"))
    assert (status, 'conflict with \\"one\\": .data.a' in body) == (409, True)


def test_dynamic_client(api: client.ApiClient, namespace: str, web: dict[str, Any], tmp_path: Path) -> None:
    """Discovery finds kinds with their subresources; every verb works on them, and apply."""
    found = dynamic.DynamicClient(api, cache_file=str(tmp_path / "discovery"))
    assert found.version["kubernetes"]["minor"] == "36"
    deployments = found.resources.get(api_version="apps/v1", kind="Deployment")
    deployments.create(body=web, namespace=namespace)
    assert deployments.scale.patch(name="web", namespace=namespace, body={"spec": {"replicas": 1}}).spec.replicas == 1
    assert deployments.status.get(name="web", namespace=namespace).kind == "Deployment"
    for event in deployments.watch(namespace=namespace, timeout=SECONDS):
        if event["object"].status.readyReplicas == 1:
            break
    maps = found.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"a": "1"}}
    maps.server_side_apply(body=body, name="cm", namespace=namespace, field_manager="test", force_conflicts=True)
    body["data"] = {"b": "2"}
    applied = maps.server_side_apply(body=body, name="cm", namespace=namespace, field_manager="test")
    assert applied.data.to_dict() == {"b": "2"}, "what is no longer applied is removed"
    assert maps.patch(name="cm", namespace=namespace, body={"data": {"c": "3"}}).data.c == "3"
    assert maps.delete(name="cm", namespace=namespace).status == "Success"
    assert found.resources.get(kind="Node").get().kind == "NodeList"


def test_informer(core: client.CoreV1Api, namespace: str) -> None:
    """The shared informer lists, follows, and stops."""
    informer = SharedInformer(list_func=core.list_namespaced_config_map, namespace=namespace)
    seen: list[tuple[str, str]] = []
    changed = threading.Condition()

    def note(type_: str) -> Callable[[Any], None]:
        def handler(obj: Any) -> None:
            with changed:
                seen.append((type_, obj.metadata.name))
                changed.notify_all()

        return handler

    def wait_for(event: tuple[str, str]) -> None:
        with changed:
            assert changed.wait_for(lambda: event in seen, SECONDS), seen

    for type_ in ("ADDED", "MODIFIED", "DELETED"):
        informer.add_event_handler(type_, note(type_))
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "before"}})
    informer.start()
    try:
        wait_for(("ADDED", "before"))
        core.create_namespaced_config_map(namespace, {"metadata": {"name": "after"}})
        wait_for(("ADDED", "after"))
        core.patch_namespaced_config_map("after", namespace, {"data": {"a": "1"}})
        wait_for(("MODIFIED", "after"))
        core.delete_namespaced_config_map("before", namespace)
        wait_for(("DELETED", "before"))
        assert informer.cache.get_by_key(f"{namespace}/after").data == {"a": "1"}
    finally:
        informer.stop()


@pytest.mark.parametrize("lock", [LeaseLock, ConfigMapLock])
def test_leader_election(
    api: client.ApiClient, namespace: str, lock: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two candidates gets the lock and can renew it; the other sees who has it."""
    monkeypatch.setattr(client.ApiClient, "_default", api)  # locks know no other client

    def candidate(identity: str) -> LeaderElection:
        return LeaderElection(
            ElectionConfig(
                lock("lock", namespace, identity),
                lease_duration=60,
                renew_deadline=30,
                retry_period=10,
                onstarted_leading=lambda: None,
                onstopped_leading=lambda: None,
            )
        )

    leader, follower = candidate("leader"), candidate("follower")
    assert [leader.try_acquire_or_renew(), follower.try_acquire_or_renew()] == [True, False]
    assert leader.try_acquire_or_renew(), "the leader renews what it holds"
    assert follower.observed_record.holder_identity == "leader"
