"""Server-side apply: merging, conflicts, giving fields up, and the order of lists."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik8s.machinery.errors import ApiError, BadRequest, Conflict
from minik8s.machinery.managedfields import track_update
from minik8s.machinery.patch.apply import Kind, apply_config
from minik8s.schema import table

NOW = datetime(2026, 11, 23, 10, 35, 8, tzinfo=UTC)
DEPLOYMENT = table.struct("apps/v1", "Deployment")
CONFIG_MAP = table.struct("core/v1", "ConfigMap")

Doc = dict[str, Any]


class Server:
    """One object, and the writes that a test does to it; checks that no write touches its input."""

    def __init__(self, type: table.Type = DEPLOYMENT, kind: str = "Deployment", api_version: str = "apps/v1") -> None:
        self.type, self.kind, self.api_version = type, kind, api_version
        self.live: Doc | None = None
        self.now = NOW

    def config(self, body: Doc) -> Doc:
        metadata = {"name": "web", **body.get("metadata", {})}
        return {"apiVersion": self.api_version, "kind": self.kind, **body, "metadata": metadata}

    def entries(self) -> list[Doc]:
        return (self.live or {}).get("metadata", {}).get("managedFields", [])

    def store(self, document: Doc, entries: list[Doc]) -> Doc:
        metadata = {**document["metadata"], "uid": "1", "managedFields": entries}
        self.live = {**document, "metadata": metadata}
        self.now += timedelta(seconds=1)
        return self.live

    def apply(self, manager: str, body: Doc, *, force: bool = False, subresource: str = "") -> Doc:
        config = self.config(body)
        before = copy.deepcopy((self.live, config))
        result = apply_config(
            self.live,
            config,
            self.entries(),
            Kind(self.api_version, self.type, subresource),
            manager=manager,
            now=self.now,
            force=force,
        )
        assert (self.live, config) == before
        return self.store(result.document, result.managed_fields)

    def update(self, manager: str, body: Doc) -> Doc:
        new = self.config(body)
        entries = self.entries()
        return self.store(
            new, track_update(self.live, new, entries, manager, self.api_version, "", self.now, self.type)
        )

    def fields(self, manager: str) -> Any:
        return next((e["fieldsV1"] for e in self.entries() if e["manager"] == manager), None)


def pod(**spec: Any) -> Doc:
    return {"spec": {"template": {"spec": spec}}}


def spec_of(live: Doc) -> Doc:
    return live["spec"]["template"]["spec"]


def test_create_and_fields() -> None:
    """An apply that creates: the document is the configuration, its fields are the applier's, atomics as leaves."""
    server = Server()
    container = {
        "name": "c1",
        "image": "i",
        "args": ["a"],
        "env": [{"name": "A", "value": "1"}],
        "ports": [{"containerPort": 80}],
    }
    body = {
        "metadata": {"labels": {"l": "1"}, "namespace": "n"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "spec": {"containers": [container], "nodeSelector": {"k": "v"}, "tolerations": [{"key": "t"}]}
            },
        },
    }
    live = server.apply("m1", body)
    assert live["kind"] == "Deployment"
    assert live["metadata"]["namespace"] == "n"
    assert live["spec"] == body["spec"]
    [entry] = server.entries()
    assert (entry["manager"], entry["operation"], entry["time"]) == ("m1", "Apply", "2026-11-23T10:35:08Z")
    assert entry["fieldsV1"] == {
        "f:metadata": {"f:labels": {"f:l": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:template": {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"c1"}': {
                            ".": {},
                            "f:args": {},
                            "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
                            "f:image": {},
                            "f:name": {},
                            "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                        }
                    },
                    "f:nodeSelector": {},
                    "f:tolerations": {},
                }
            },
        },
    }


@pytest.mark.parametrize(
    ("live", "applied", "expected"),
    [
        ("abc", "xb", "axbc"),
        ("axbc", "bx", "abcx"),
        ("abcx", "cab", "cxab"),
        ("cxaby", "yc", "xabyc"),
        ("abc", "", "abc"),
        ("", "ba", "ba"),
        ("abc", "cba", "cba"),
        ("abc", "d", "abcd"),
    ],
)
def test_order(live: str, applied: str, expected: str) -> None:
    """Where the elements of a merged list stand."""
    server = Server()
    server.update("u", pod(containers=[{"name": n, "image": "i"} for n in live]))
    result = server.apply("m", pod(containers=[{"name": n} for n in applied]))
    assert "".join(c["name"] for c in spec_of(result)["containers"]) == expected
    assert all("image" in c for c in spec_of(result)["containers"] if c["name"] in live)


def test_sets_and_maps_unite() -> None:
    """Finalizers and labels of several appliers stand side by side; each takes only its own away."""
    server = Server(CONFIG_MAP, "ConfigMap", "v1")
    server.apply("a", {"metadata": {"finalizers": ["a.b/1"], "labels": {"x": "1", "both": "1"}}, "data": {"a": "1"}})
    live = server.apply("b", {"metadata": {"finalizers": ["a.b/2"], "labels": {"y": "1", "both": "1"}}})
    assert live["metadata"]["finalizers"] == ["a.b/1", "a.b/2"]
    assert live["metadata"]["labels"] == {"x": "1", "both": "1", "y": "1"}
    live = server.apply("a", {"data": {"b": "2"}})
    assert live["metadata"]["finalizers"] == ["a.b/2"]
    assert live["metadata"]["labels"] == {"both": "1", "y": "1"}
    assert live["data"] == {"b": "2"}
    live = server.apply("b", {})
    assert "labels" not in live["metadata"]
    assert "finalizers" not in live["metadata"]
    assert live["metadata"]["name"] == "web"
    assert server.fields("b") is None


def test_conflict_with_an_applier() -> None:
    """Another applier's field with another value is a conflict; the same value is shared."""
    server = Server()
    server.apply("m1", {"spec": {"replicas": 1}})
    server.apply("m2", {"spec": {"replicas": 1}})
    with pytest.raises(Conflict) as raised:
        server.apply("m2", {"spec": {"replicas": 2}})
    error = raised.value
    assert error.message == 'Apply failed with 1 conflict: conflict with "m1": .spec.replicas'
    assert [c.to_dict() for c in error.causes] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "m1"', "field": ".spec.replicas"}
    ]
    live = server.apply("m2", {"spec": {"replicas": 2}}, force=True)
    assert live["spec"]["replicas"] == 2
    assert server.fields("m1") is None
    assert server.fields("m2") == {"f:spec": {"f:replicas": {}}}


def test_conflict_texts() -> None:
    """Several conflicts are grouped by manager; an updater is named with its version, paths with their keys."""
    server = Server()
    server.update("upd", {"spec": {"replicas": 1}})
    with pytest.raises(Conflict) as raised:
        server.apply("m", {"spec": {"replicas": 3}})
    assert raised.value.message == ('Apply failed with 1 conflict: conflict with "upd" using apps/v1: .spec.replicas')
    ports = [{"containerPort": 80, "name": "a"}]
    server = Server()
    server.apply(
        "m1", pod(containers=[{"name": "c1", "image": "i", "ports": ports}]) | {"metadata": {"labels": {"l": "1"}}}
    )
    ports = [{"containerPort": 80, "name": "b"}]
    with pytest.raises(Conflict) as raised:
        server.apply("m2", pod(containers=[{"name": "c1", "image": "j", "ports": ports}]))
    assert raised.value.message == (
        'Apply failed with 2 conflicts: conflicts with "m1":\n'
        '- .spec.template.spec.containers[name="c1"].image\n'
        '- .spec.template.spec.containers[name="c1"].ports[containerPort=80,protocol="TCP"].name'
    )
    assert raised.value.code == 409


def test_giving_up_fields() -> None:
    """A field no longer stated goes unless another owns it, with the defaults that came along with it."""
    server = Server()
    probe = {"httpGet": {"port": 80}}
    server.apply("m", pod(containers=[{"name": "c1", "image": "i", "livenessProbe": probe}, {"name": "c2"}]))
    assert server.live is not None
    defaulted = copy.deepcopy(server.live)
    spec_of(defaulted)["containers"][0]["livenessProbe"]["timeoutSeconds"] = 1
    spec_of(defaulted)["containers"][1]["imagePullPolicy"] = "Always"
    server.live = defaulted
    live = server.apply("m", pod(containers=[{"name": "c1", "image": "i"}]))
    assert spec_of(live)["containers"] == [{"name": "c1", "image": "i"}]


def test_shared_fields_stay() -> None:
    """What another manager owns as well stays when one gives it up; so does an element somebody else changed."""
    server = Server()
    server.apply("a", {"spec": {"replicas": 2, "paused": True}})
    server.apply("b", {"spec": {"replicas": 2}})
    live = server.apply("a", {"spec": {"paused": True}})
    assert live["spec"] == {"replicas": 2, "paused": True}
    live = server.apply("b", {"spec": {}})
    assert live["spec"] == {"paused": True}


def test_before_first_apply() -> None:
    """What stood in an object without managedFields belongs to `before-first-apply`."""
    server = Server()
    server.live = server.config({"spec": {"replicas": 1, "paused": True}})
    server.live["metadata"]["uid"] = "1"
    with pytest.raises(Conflict, match=r'conflict with "before-first-apply" using apps/v1: .spec.replicas'):
        server.apply("m", {"spec": {"replicas": 2}})
    live = server.apply("m", {"spec": {"replicas": 1}})
    assert [e["manager"] for e in live["metadata"]["managedFields"]] == ["m", "before-first-apply"]
    assert server.fields("before-first-apply") == {"f:spec": {"f:paused": {}, "f:replicas": {}}}


def test_no_change_no_time() -> None:
    """Applying the same again leaves document and entries as they are."""
    server = Server()
    first = server.apply("m", {"spec": {"replicas": 1}})
    assert server.apply("m", {"spec": {"replicas": 1}}) == first
    live = server.apply("m", {"spec": {"replicas": 2}})
    assert live["metadata"]["managedFields"][0]["time"] == "2026-11-23T10:35:10Z"


def test_update_takes_over() -> None:
    """An update takes a field from its applier, who then conflicts with the updater."""
    server = Server()
    server.apply("m", {"spec": {"replicas": 1, "paused": True}})
    server.update("kubectl", {"spec": {"replicas": 5, "paused": True}})
    assert server.fields("m") == {"f:spec": {"f:paused": {}}}
    with pytest.raises(Conflict, match=r'conflict with "kubectl" using apps/v1: .spec.replicas'):
        server.apply("m", {"spec": {"replicas": 1, "paused": True}})
    assert server.apply("m", {"spec": {"paused": True}})["spec"]["replicas"] == 5


def test_null_values() -> None:
    """Null takes a single value out and leaves maps and merged lists alone."""
    server = Server()
    server.apply("m", {"spec": {"replicas": 1, "paused": True}, "metadata": {"labels": {"a": "1"}}})
    live = server.apply("m", {"spec": {"replicas": None, "paused": True}, "metadata": {"labels": {"a": "1"}}})
    assert live["spec"] == {"paused": True}
    assert server.fields("m")["f:spec"] == {"f:paused": {}, "f:replicas": {}}


def test_status_and_preconditions() -> None:
    """Status is ignored by the main endpoint; a stated resourceVersion travels into the document, creation does not."""
    server = Server()
    server.apply("m", {"spec": {"replicas": 1}})
    live = server.apply(
        "m",
        {
            "metadata": {"resourceVersion": "7", "creationTimestamp": None},
            "spec": {"replicas": 1},
            "status": {"replicas": 9},
        },
    )
    assert live["metadata"]["resourceVersion"] == "7"
    assert "creationTimestamp" not in live["metadata"]
    assert "status" not in live
    live = server.apply("kcm", {"status": {"replicas": 9}, "spec": {"replicas": 5}}, subresource="status")
    assert live["status"] == {"replicas": 9}
    assert live["spec"] == {"replicas": 1}
    assert server.entries()[-1]["subresource"] == "status"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"spec": {"foo": 1}}, ".spec.foo: field not declared in schema"),
        (
            pod(containers=[{"name": "c1"}, {"name": "c1"}]),
            '.spec.template.spec.containers: duplicate entries for key [name="c1"]',
        ),
        ({"spec": "x"}, ".spec: expected map, got &{x}"),
        (pod(containers={}), ".spec.template.spec.containers: expected list, got &{map[]}"),
        (pod(tolerations="x"), ".spec.template.spec.tolerations: expected list, got &{x}"),
        ({"metadata": {"labels": [1]}}, ".metadata.labels: expected map, got &{[1]}"),
        (
            pod(containers=[{"image": "i"}]),
            ".spec.template.spec.containers: element 0: associative list with keys has an element that omits all key "
            'fields ["name"] (and doesn\'t have default values for any key fields)',
        ),
        (
            pod(containers=["x"]),
            ".spec.template.spec.containers: element 0: associative list with keys may not have non-map elements",
        ),
        ({"spec": {"replicas": "1"}}, ".spec.replicas: expected numeric (int or float), got string"),
        (
            {"spec": {"replicas": {"a": 1}}},
            ".spec.replicas: expected numeric (int or float), got map[string]interface {}",
        ),
        ({"spec": {"paused": "yes"}}, ".spec.paused: expected boolean, got &{yes}"),
        (
            {"metadata": {"labels": {"a": [1, None, {"b": "c"}]}}},
            ".metadata.labels.a: expected string, got &value.valueUnstructured{Value:[]interface {}{1, "
            'interface {}(nil), map[string]interface {}{"b":"c"}}}',
        ),
        (pod(tolerations=[{"foo": 1}]), ".spec.template.spec.tolerations[0].foo: field not declared in schema"),
        (pod(nodeSelector={"a": True}), ".spec.template.spec.nodeSelector.a: expected string, got "),
        (
            pod(containers=[None]),
            ".spec.template.spec.containers: element 0: associative list with keys may not have a null",
        ),
        (
            {"metadata": {"finalizers": [{}]}},
            ".metadata.finalizers: element 0: associative list without keys has an element",
        ),
        ({"metadata": {"finalizers": ["a", "a"]}}, '.metadata.finalizers: duplicate entries for key [="a"]'),
        (
            pod(containers=[{"name": "c", "resources": {"limits": {"cpu": []}}}]),
            '.spec.template.spec.containers[name="c"].resources.limits.cpu: expected any scalar, got &{[]}',
        ),
        ({"spec": {"foo": 1, "bar": 2}}, "errors:\n  .spec.foo: field not declared in schema\n  .spec.bar: field"),
    ],
)
def test_configuration_errors(body: Doc, message: str) -> None:
    """A configuration that does not fit the type is refused with every field named."""
    with pytest.raises(ApiError) as raised:
        Server().apply("m", body)
    prefix = "failed to create typed patch object (/web; apps/v1, Kind=Deployment): "
    assert raised.value.message.startswith(prefix + message)
    assert (raised.value.code, raised.value.reason) == (500, "")


def test_managed_fields_in_the_configuration() -> None:
    """managedFields cannot be applied."""
    with pytest.raises(BadRequest, match=r"metadata.managedFields must be nil"):
        Server().apply("m", {"metadata": {"managedFields": [{"manager": "x"}]}})


def test_unchanged_parts_are_shared() -> None:
    """What the configuration does not touch is the same object afterwards."""
    server = Server()
    server.update("u", {"spec": {"replicas": 1}, "metadata": {"annotations": {"a": "1"}}})
    assert server.live is not None
    annotations = server.live["metadata"]["annotations"]
    live = server.apply("m", {"spec": {"paused": True}})
    assert live["metadata"]["annotations"] is annotations


def test_arbitrary_json() -> None:
    """Inside fields of arbitrary JSON, objects merge and everything else is one value."""
    server = Server(table.struct("apps/v1", "ControllerRevision"), "ControllerRevision")
    server.apply("a", {"data": {"x": {"p": 1}, "l": [1, 2]}})
    live = server.apply("b", {"data": {"x": {"q": 2}}})
    assert live["data"] == {"x": {"p": 1, "q": 2}, "l": [1, 2]}
    assert server.fields("a") == {"f:data": {"f:l": {}, "f:x": {".": {}, "f:p": {}}}}
    with pytest.raises(Conflict):
        server.apply("b", {"data": {"l": [1]}})
