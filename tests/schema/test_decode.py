"""Decoding: what goes in, what comes out, and the words of refusal."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.schema import table
from minik8s.schema.decode import DecodeError, decode
from minik8s.schema.scalars import format_duration, parse_duration

POD = table.struct("core/v1", "Pod")
CONFIG_MAP = table.struct("core/v1", "ConfigMap")
DEPLOYMENT = table.struct("apps/v1", "Deployment")


def pod(**container: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i", **container}]}}


def decode_container(**container: Any) -> dict[str, Any]:
    result: dict[str, Any] = decode(pod(**container), POD, "Pod").obj["spec"]["containers"][0]
    return result


def test_kind_and_api_version_come_first() -> None:
    """The result starts with kind, apiVersion, metadata, spec, whatever the order sent."""
    doc = {"spec": {"containers": []}, "metadata": {"name": "p"}, "apiVersion": "v1", "kind": "Pod"}
    assert list(decode(doc, POD, "Pod").obj) == ["kind", "apiVersion", "metadata", "spec", "status"]


def test_the_copy_is_private() -> None:
    """Nothing of the result is shared with the source."""
    doc = {"metadata": {"labels": {"a": "b"}}, "data": {"k": "v"}}
    found = decode(doc, CONFIG_MAP, "ConfigMap").obj
    found["metadata"]["labels"]["a"] = "changed"
    found["data"]["k"] = "changed"
    assert doc == {"metadata": {"labels": {"a": "b"}}, "data": {"k": "v"}}


@pytest.mark.parametrize(
    ("type_", "doc", "message"),
    [
        (CONFIG_MAP, {"data": {"a": 1}}, "number into Go struct field ConfigMap.data of type string"),
        (POD, {"spec": {"containers": "x"}},
         "string into Go struct field PodSpec.spec.containers of type []v1.Container"),
        (POD, pod(env=[{"name": "A", "value": True}]),
         "bool into Go struct field EnvVar.spec.containers.env.value of type string"),
        (DEPLOYMENT, {"spec": {"replicas": "3"}},
         "string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (DEPLOYMENT, {"spec": {"replicas": 1.5}},
         "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (DEPLOYMENT, {"spec": {"replicas": 2**31}},
         "number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (DEPLOYMENT, {"spec": {"replicas": True}},
         "bool into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (POD, {"metadata": {"labels": []}},
         "array into Go struct field ObjectMeta.metadata.labels of type map[string]string"),
        (POD, {"kind": 1}, "number into Go struct field Pod.kind of type string"),
        (POD, {"spec": {"restartPolicy": 1}},
         "number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy"),
        (POD, [], "array into Go value of type v1.Pod"),
        (POD, None, "null into Go value of type v1.Pod"),
    ],
)  # fmt: skip
def test_wrong_types_are_refused_in_gos_words(type_: table.Type, doc: Any, message: str) -> None:
    """The error names the innermost struct, the path without indexes and Go's type."""
    with pytest.raises(DecodeError) as caught:
        decode(doc, type_, type_.struct_name)
    assert str(caught.value) == f"json: cannot unmarshal {message}"


def test_unknown_fields_are_dropped_and_reported() -> None:
    """Paths have list indexes; known values beside them stay."""
    doc = pod(foo=1, ports=[{"containerPort": 80, "bar": 2}])
    doc["metdata"] = {}
    decoded = decode(doc, POD, "Pod")
    assert decoded.unknown == ["spec.containers[0].foo", "spec.containers[0].ports[0].bar", "metdata"]
    assert decoded.obj["spec"]["containers"][0]["ports"] == [{"containerPort": 80}]
    assert "metdata" not in decoded.obj


def test_claim_templates_may_carry_a_kind() -> None:
    """A StatefulSet's volumeClaimTemplates are whole objects, a pod template is not."""
    doc = {
        "spec": {
            "template": {"kind": "Pod", "spec": {"containers": []}},
            "volumeClaimTemplates": [{"kind": "PersistentVolumeClaim", "metadata": {"name": "d"}}],
        }
    }
    decoded = decode(doc, table.struct("apps/v1", "StatefulSet"), "StatefulSet")
    assert decoded.unknown == ["spec.template.kind"]
    assert decoded.obj["spec"]["volumeClaimTemplates"][0]["kind"] == "PersistentVolumeClaim"


def test_empty_values_follow_omitempty() -> None:
    """Empty values vanish, except behind a pointer or in a field that is always serialised."""
    doc = {
        "metadata": {"name": "d", "labels": {}, "namespace": "", "creationTimestamp": None},
        "spec": {"replicas": 0, "minReadySeconds": 0, "paused": False, "selector": {}},
    }
    obj = decode(doc, DEPLOYMENT, "Deployment").obj
    assert obj["metadata"] == {"name": "d"}
    assert obj["spec"] == {
        "replicas": 0,
        "selector": {},
        "template": {"metadata": {}, "spec": {}},
        "strategy": {},
    }
    assert obj["status"] == {}


def test_structs_without_pointer_are_always_there() -> None:
    """A container has `resources: {}`, an event `source: {}` and empty reporter strings."""
    assert decode_container() == {"name": "c", "image": "i", "resources": {}}
    event = decode({}, table.struct("core/v1", "Event"), "Event").obj
    assert event["source"] == {}
    assert event["reportingComponent"] == ""


def test_numbers_of_a_status_are_filled_in_but_required_strings_of_a_spec_are_not() -> None:
    """Validation must still see that a name is missing; a status shows its zeros."""
    assert decode({}, table.struct("apps/v1", "ReplicaSet"), "ReplicaSet").obj["status"] == {"replicas": 0}
    spec = decode({"spec": {"containers": [{}]}}, POD, "Pod").obj["spec"]
    assert spec["containers"] == [{"resources": {}}]
    node = decode({}, table.struct("core/v1", "Node"), "Node").obj["status"]
    assert node["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 0}}
    assert node["nodeInfo"]["kubeletVersion"] == ""


def test_a_time_without_pointer_is_null_when_it_is_zero() -> None:
    """As `kubectl get pod -o yaml` shows it: Go's `omitempty` leaves out no struct, only pointers are absent."""
    status = decode({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, POD, "Pod").obj["status"]
    assert status["conditions"] == [
        {"type": "Ready", "status": "True", "lastProbeTime": None, "lastTransitionTime": None}
    ]
    event = decode({"metadata": {}, "eventTime": None}, table.struct("core/v1", "Event"), "Event").obj
    assert {name: event[name] for name in event if name.endswith(("Time", "Timestamp"))} == {
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
    }
    assert event["metadata"] == {}


def test_null_is_absence_and_in_collections_the_zero_value() -> None:
    """`null` in a map of strings is "", as Go's decoder leaves it."""
    obj = decode({"data": {"a": None}, "metadata": {"annotations": None}}, CONFIG_MAP, "ConfigMap").obj
    assert obj == {"data": {"a": ""}, "metadata": {}}


@pytest.mark.parametrize("bad", ["", "1 G", "abc", True, {}, [], "1.2.3", "-"])
def test_bad_quantities_are_refused(bad: Any) -> None:
    """Whatever is not a quantity gets upstream's regular expression."""
    with pytest.raises(DecodeError, match="quantities must match the regular expression"):
        decode_container(resources={"limits": {"cpu": bad}})


def test_quantities_are_canonical() -> None:
    """Numbers become strings and equal amounts one spelling."""
    found = decode_container(resources={"limits": {"cpu": 2, "memory": "1024Mi", "x/y": 0.5}})
    assert found["resources"]["limits"] == {"cpu": "2", "memory": "1Gi", "x/y": "500m"}


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00Z"),
        ("2024-05-01T12:00:00.999+02:00", "2024-05-01T10:00:00Z"),
        ("0001-01-01T00:00:00Z", None),
        (None, None),
    ],
)
def test_times_are_utc_seconds(sent: str | None, stored: str | None) -> None:
    """Offsets and fractions go; Go's zero time is no time."""
    assert (
        decode({"metadata": {"creationTimestamp": sent}}, POD, "Pod").obj["metadata"].get("creationTimestamp") == stored
    )


@pytest.mark.parametrize("bad", ["yesterday", "2024-13-01T00:00:00Z", "2024-05-01", "2024-05-01T10:00:00", 5])
def test_bad_times_are_refused(bad: Any) -> None:
    """Only RFC 3339 with an offset is a time."""
    with pytest.raises(DecodeError):
        decode({"metadata": {"creationTimestamp": bad}}, POD, "Pod")


def test_microtimes_have_six_digits() -> None:
    """Leases keep microseconds."""
    lease = decode(
        {"spec": {"renewTime": "2024-05-01T10:00:00.5Z"}}, table.struct("coordination.k8s.io/v1", "Lease"), "Lease"
    )
    assert lease.obj["spec"]["renewTime"] == "2024-05-01T10:00:00.500000Z"


@pytest.mark.parametrize(("sent", "stored"), [("aGk=", "aGk="), ("aG\nk=\n", "aGk="), ("", "")])
def test_base64_is_checked(sent: str, stored: str) -> None:
    """Line breaks are tolerated and dropped."""
    secret = decode({"data": {"k": sent}}, table.struct("core/v1", "Secret"), "Secret")
    assert secret.obj["data"] == {"k": stored}


@pytest.mark.parametrize(("bad", "offset"), [("a!b=", 1), ("aGk", 0), ("aGkaGk", 4)])
def test_bad_base64_names_the_byte(bad: str, offset: int) -> None:
    """The offset is that of Go's decoder."""
    with pytest.raises(DecodeError, match=rf"^illegal base64 data at input byte {offset}$"):
        decode({"data": {"k": bad}}, table.struct("core/v1", "Secret"), "Secret")


@pytest.mark.parametrize(
    ("bad", "what"), [(1.5, "number 1.5"), (True, "bool"), ([], "array"), (2**40, f"number {2**40}")]
)
def test_int_or_string_takes_nothing_else(bad: Any, what: str) -> None:
    """An int32 or a string."""
    with pytest.raises(DecodeError, match=f"cannot unmarshal {what} into Go value of type int32"):
        decode_container(livenessProbe={"httpGet": {"port": bad}})


def test_int_or_string_keeps_what_it_was() -> None:
    """80, 0 and "80" stay apart."""
    for port in (80, 0, "80", "http"):
        assert decode_container(livenessProbe={"httpGet": {"port": port}})["livenessProbe"]["httpGet"]["port"] == port


@pytest.mark.parametrize(
    ("text", "nanoseconds", "canonical"),
    [("1h", 3600 * 10**9, "1h0m0s"), ("90s", 90 * 10**9, "1m30s"), ("1.5s", 1500 * 10**6, "1.5s"), ("0", 0, "0s"),
     ("-20ms", -20 * 10**6, "-20ms"), ("1500us", 1500 * 10**3, "1.5ms")],
)  # fmt: skip
def test_durations_are_gos(text: str, nanoseconds: int, canonical: str) -> None:
    """Parsing and formatting agree with Go's time.Duration."""
    assert parse_duration(text) == nanoseconds
    assert format_duration(nanoseconds) == canonical


@pytest.mark.parametrize("bad", ["", "1", "s", "1x", "1h-2m"])
def test_bad_durations_are_refused(bad: str) -> None:
    """A duration needs a unit."""
    with pytest.raises(DecodeError, match="invalid duration"):
        parse_duration(bad)


def test_every_struct_of_the_table_decodes_the_empty_document() -> None:
    """No struct's plan is broken, and decoding its own result changes nothing."""
    for group_version in table.group_versions():
        for name in table.struct_names(group_version):
            once = decode({}, table.struct(group_version, name), name)
            assert decode(once.obj, table.struct(group_version, name), name) == once


def test_too_deep_documents_are_refused() -> None:
    """Recursion never ends in a traceback."""
    schema: dict[str, Any] = {}
    for _ in range(3000):
        schema = {"properties": {"a": schema}}
    doc = {"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}}
    with pytest.raises(DecodeError, match="exceeded max depth"):
        decode(doc, table.struct("apiextensions.k8s.io/v1", "CustomResourceDefinition"), "CustomResourceDefinition")
