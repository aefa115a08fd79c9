"""Protobuf: golden bytes, round trips over the whole table, and nothing but DecodeError for garbage."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.schema import table
from minik8s.schema.decode import decode
from minik8s.schema.protobuf import DecodeError, decode_envelope, decode_message
from minik8s.schema.protowrite import encode_envelope, encode_message

POD = table.struct("core/v1", "Pod")
CRD = table.struct("apiextensions.k8s.io/v1", "CustomResourceDefinition")

SAMPLES: list[tuple[str, str, dict[str, Any]]] = [
    ("core/v1", "ConfigMap", {"metadata": {"name": "c"}, "data": {"a": "1", "e": ""}, "binaryData": {"b": "AAE="}}),
    ("core/v1", "Secret", {"metadata": {"name": "s"}, "data": {"k": "aGk="}, "type": "Opaque"}),
    (
        "core/v1",
        "Pod",
        {
            "metadata": {
                "name": "p",
                "creationTimestamp": "2024-05-01T10:00:00Z",
                "deletionGracePeriodSeconds": 0,
                "managedFields": [{"manager": "m", "time": "2024-05-01T10:00:00Z", "fieldsV1": {"f:spec": {".": {}}}}],
            },
            "spec": {
                "containers": [
                    {
                        "name": "c",
                        "ports": [{"containerPort": 80}],
                        "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}],
                        "resources": {"limits": {"cpu": "100m"}},
                        "livenessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 5},
                        "readinessProbe": {"tcpSocket": {"port": 8080}},
                        "securityContext": {"runAsUser": -1, "privileged": False},
                    }
                ],
                "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}],
                "nodeSelector": {"a": "b"},
            },
        },
    ),
    (
        "apps/v1",
        "Deployment",
        {"spec": {"replicas": 0, "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}}},
    ),
    ("apps/v1", "ControllerRevision", {"data": {"spec": {"x": [1, None]}}, "revision": 3}),
    ("coordination.k8s.io/v1", "Lease", {"spec": {"renewTime": "2024-05-01T10:00:00.000123Z", "holderIdentity": ""}}),
    ("authentication.k8s.io/v1", "TokenReview", {"status": {"user": {"extra": {"k": ["a", "b"], "e": []}}}}),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        {
            "spec": {
                "versions": [
                    {
                        "name": "v1",
                        "subresources": {"status": {}},
                        "schema": {
                            "openAPIV3Schema": {
                                "default": {"a": 1},
                                "enum": ["a", 1, True],
                                "maximum": 1.5,
                                "items": {"type": "string"},
                                "additionalProperties": True,
                                "additionalItems": {"type": "object"},
                                "dependencies": {"a": ["b"], "c": {"type": "string"}},
                                "properties": {"x": {"items": [{"type": "string"}], "additionalProperties": False}},
                            }
                        },
                    }
                ]
            }
        },
    ),
    ("autoscaling/v2", "HorizontalPodAutoscaler", {"spec": {"minReplicas": 1, "metrics": [{"type": "Resource"}]}}),
    ("meta/v1", "DeleteOptions", {"gracePeriodSeconds": 0, "preconditions": {"uid": "u"}, "dryRun": ["All"]}),
]


@pytest.mark.parametrize(("group_version", "name", "doc"), SAMPLES)
def test_round_trip(group_version: str, name: str, doc: dict[str, Any]) -> None:
    """JSON to protobuf and back is the same object once it is canonical."""
    type_ = table.struct(group_version, name)
    obj = decode(doc, type_, name).obj
    assert decode(decode_message(encode_message(obj, type_), type_), type_, name).obj == obj


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
MOMENTS = st.datetimes(timezones=st.just(UTC))
SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "bool": st.booleans(),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "bytes": st.binary(max_size=5).map(lambda raw: b64encode(raw).decode()),
    "time": MOMENTS.map(lambda t: t.isoformat(timespec="seconds")[:19] + "Z"),
    "microtime": MOMENTS.map(lambda t: t.isoformat(timespec="microseconds")[:26] + "Z"),
    "duration": st.sampled_from(["0s", "1m0s", "1.5s", "-3h0m0s"]),
    "quantity": st.sampled_from(["0", "100m", "1Gi", "-1.5", "1e3"]),
    "intorstring": st.integers(-(2**31), 2**31 - 1) | TEXTS,
    "object": st.dictionaries(TEXTS, st.integers(-9, 9) | TEXTS, max_size=2),
}
STRUCTS = [(home, name) for home in table.group_versions() for name in table.struct_names(home)]


def values(type_: table.Type, depth: int = 0) -> st.SearchStrategy[Any]:
    """Valid values of a type: some of its fields, to a depth."""
    if type_.kind == "struct":
        known = {name for number, name, _ in type_.layout if number and name}
        names = sorted(known & set(type_.fields))
        if depth > 3 or not names:
            return st.just({})
        chosen = st.lists(st.sampled_from(names), max_size=4, unique=True)
        return chosen.flatmap(
            lambda some: st.fixed_dictionaries({name: values(type_.fields[name].type, depth + 1) for name in some})
        )
    if type_.kind == "object" and type_.name not in ("RawExtension", "FieldsV1"):
        return st.just({})  # a struct without fields
    if type_.kind == "any":
        if type_.name != "JSON":
            return st.just({})  # a schema, where one is possible
        return st.integers(-(2**63), 2**63 - 1) | TEXTS | st.booleans() | st.lists(st.none(), min_size=1, max_size=2)
    if type_.item is not None:
        item = values(type_.item, depth + 1)
        return st.lists(item, max_size=2) if type_.kind == "list" else st.dictionaries(TEXTS, item, max_size=2)
    return SIMPLE[type_.kind]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(STRUCTS), st.data())
def test_every_value_survives(struct: tuple[str, str], data: st.DataObject) -> None:
    """Whatever the table allows comes back from protobuf as it went in, but that empty lists and maps are none."""
    type_ = table.struct(*struct)
    doc = data.draw(values(type_))
    obj = decode(doc, type_, "x").obj
    found = decode(decode_message(encode_message(obj, type_), type_), type_, "x").obj
    assert without_empty(found) == without_empty(obj)


def without_empty(value: Any) -> Any:
    if isinstance(value, list):
        return [without_empty(element) for element in value]
    if isinstance(value, dict):
        filled = {key: without_empty(child) for key, child in value.items()}
        return {key: child for key, child in filled.items() if child not in ([], {}, None)}
    return value


GOLDEN: list[tuple[str, str, dict[str, Any], bytes]] = [
    ("core/v1", "ConfigMap", {"data": {"a": ""}}, b"\x12\x05\x0a\x01a\x12\x00"),
    (
        "core/v1",
        "ConfigMap",
        {"immutable": False, "binaryData": {"k": "AAE="}},
        b"\x20\x00\x1a\x07\x0a\x01k\x12\x02\x00\x01",
    ),
    ("core/v1", "ContainerPort", {"containerPort": 300}, b"\x18\xac\x02"),
    ("core/v1", "TCPSocketAction", {"port": 80}, b"\x0a\x06\x08\x00\x10\x50\x1a\x00"),
    ("core/v1", "TCPSocketAction", {"port": "web"}, b"\x0a\x09\x08\x01\x10\x00\x1a\x03web"),
    ("core/v1", "ResourceRequirements", {"limits": {"cpu": "1"}}, b"\x0a\x0a\x0a\x03cpu\x12\x03\x0a\x011"),
    ("core/v1", "Volume", {"name": "v", "emptyDir": {}}, b"\x0a\x01v\x12\x02\x12\x00"),
    ("meta/v1", "ObjectMeta", {"creationTimestamp": "1970-01-01T00:02:00Z"}, b"\x42\x04\x08\x78\x10\x00"),
    ("meta/v1", "ObjectMeta", {"creationTimestamp": None, "generation": -1}, b"\x38" + b"\xff" * 9 + b"\x01"),
    ("meta/v1", "ManagedFieldsEntry", {"fieldsV1": {"f:a": {}}}, b'\x3a\x0c\x0a\x0a{"f:a":{}}'),
    (
        "coordination.k8s.io/v1",
        "LeaseSpec",
        {"renewTime": "1970-01-01T00:00:01.000002Z"},
        b"\x22\x05\x08\x01\x10\xd0\x0f",
    ),
    ("authentication.k8s.io/v1", "UserInfo", {"extra": {"k": ["a"]}}, b"\x22\x08\x0a\x01k\x12\x03\x0a\x01a"),
]
"""What Go's generated code writes for these fields; the zeros that it writes for all others mean nothing."""


@pytest.mark.parametrize(("group_version", "name", "doc", "raw"), GOLDEN)
def test_golden_messages(group_version: str, name: str, doc: dict[str, Any], raw: bytes) -> None:
    """Maps, absent and explicit zeros, negative numbers, times, quantities, int-or-string and raw JSON."""
    type_ = table.struct(group_version, name)
    assert encode_message(doc, type_) == raw
    assert decode_message(raw, type_) == {key: value for key, value in doc.items() if value is not None}


def test_golden_envelope() -> None:
    """`runtime.Unknown`: the type, the message, and empty content encoding and type."""
    assert (
        encode_envelope("v1", "Pod", b"\x0a\x00")
        == b"k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x02\x0a\x00\x1a\x00\x22\x00"
    )


def test_golden_bytes() -> None:
    """The bytes of `v1 Namespace metadata.name=a` as client-go writes them are understood."""
    raw = b"\x0a\x11\x0a\x01a\x12\x00\x1a\x00\x22\x00\x2a\x00\x32\x00\x38\x00\x42\x00\x12\x00\x1a\x02\x0a\x00"
    body = b"k8s\x00\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12" + bytes([len(raw)]) + raw + b"\x1a\x00\x22\x00"
    assert decode_envelope(body) == ("v1", "Namespace", raw)
    found = decode_message(raw, table.struct("core/v1", "Namespace"))
    assert decode(found, table.struct("core/v1", "Namespace"), "Namespace").obj == {
        "metadata": {"name": "a"},
        "spec": {},
        "status": {},
    }


def test_envelopes_round_trip() -> None:
    """apiVersion, kind and message come back."""
    assert decode_envelope(encode_envelope("apps/v1", "Deployment", b"\x0a\x00")) == (
        "apps/v1",
        "Deployment",
        b"\x0a\x00",
    )


def test_negative_numbers_take_ten_bytes() -> None:
    """int32 -1 is sign-extended, as Go writes it, and read back."""
    type_ = table.struct("core/v1", "SecurityContext")
    raw = encode_message({"runAsUser": -1}, type_)
    assert len(raw) == 11
    assert decode_message(raw, type_) == {"runAsUser": -1}


def test_unknown_field_numbers_are_skipped() -> None:
    """A newer client may send more than the table knows, in any wire type."""
    raw = b"\xf8\x3f\x01" + b"\xfa\x3f\x01x" + b"\xf9\x3f" + b"\0" * 8 + b"\xfd\x3f" + b"\0" * 4
    assert decode_message(raw, POD) == {}


def test_embedded_objects_carry_their_own_envelope() -> None:
    """A RawExtension may hold protobuf instead of JSON."""
    inner = encode_envelope(
        "v1", "ConfigMap", encode_message({"data": {"a": "b"}}, table.struct("core/v1", "ConfigMap"))
    )
    revision = table.struct("apps/v1", "ControllerRevision")
    raw = b"\x12" + bytes([len(inner) + 2]) + b"\x0a" + bytes([len(inner)]) + inner
    assert decode_message(raw, revision)["data"] == {"kind": "ConfigMap", "apiVersion": "v1", "data": {"a": "b"}}


def test_raw_json_is_written_as_go_writes_it() -> None:
    """Controllers and kubectl compare its bytes: Go escapes what could be markup, in keys and values."""
    revision = table.struct("apps/v1", "ControllerRevision")
    data = {"a&b": ["<x>", "\u2028", "é"]}
    raw = encode_message({"data": data}, revision)
    assert b'{"a\\u0026b":["\\u003cx\\u003e","\\u2028","\xc3\xa9"]}' in raw
    assert decode_message(raw, revision)["data"] == data


def test_every_struct_has_a_readable_layout() -> None:
    """No field of the table has a type that the reader does not know."""
    for group_version in table.group_versions():
        for name in table.struct_names(group_version):
            type_ = table.struct(group_version, name)
            obj = decode({}, type_, name).obj
            assert decode(decode_message(encode_message(obj, type_), type_), type_, name).obj == obj


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x0a\x05a", "unexpected EOF"),
        (b"\x0a", "unexpected EOF"),
        (b"\xff" * 11, "integer overflow"),
        (b"\x0b", "illegal wireType 3"),
        (b"\x02\x00", "illegal tag 0"),
        (b"\x08\x01", "wrong wireType"),
        (b"\x0a\x03\x0a\x01\xff", "invalid UTF-8"),
    ],
)
def test_malformed_messages_are_refused(raw: bytes, message: str) -> None:
    """The error says what is wrong with the bytes."""
    with pytest.raises(DecodeError, match=message):
        decode_message(raw, POD)


@pytest.mark.parametrize("body", [b"", b"{}", b"k8s", b"k8s\x00\x0a\x05a"])
def test_malformed_envelopes_are_refused(body: bytes) -> None:
    """JSON sent as protobuf is told so."""
    with pytest.raises(DecodeError):
        decode_envelope(body)


ENCODED = [
    (table.struct(group_version, name), encode_message(doc, table.struct(group_version, name)))
    for group_version, name, doc in SAMPLES
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ENCODED), st.data())
def test_damaged_messages_never_raise_anything_else(sample: tuple[table.Type, bytes], data: st.DataObject) -> None:
    """Truncated and overwritten messages are objects or DecodeErrors."""
    type_, raw = sample
    damaged = bytearray(raw[: data.draw(st.integers(0, len(raw)))])
    for position in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=3)):
        if damaged:
            damaged[position] = data.draw(st.integers(0, 255))
    try:
        decode(decode_message(bytes(damaged), type_), type_, type_.struct_name)
    except DecodeError:
        return


@given(st.binary(max_size=40), st.sampled_from([POD, CRD]))
def test_random_bytes_never_raise_anything_else(raw: bytes, type_: table.Type) -> None:
    """Random bytes are objects or DecodeErrors, as envelopes too."""
    for read in (lambda: decode_message(raw, type_), lambda: decode_envelope(b"k8s\x00" + raw)):
        try:
            read()
        except DecodeError:
            continue


def test_too_deep_messages_are_refused() -> None:
    """Recursive types cannot exhaust the stack."""
    raw = b""
    for _ in range(2000):
        raw = b"\xe2\x01" + _varint(len(raw)) + raw  # field 28, `not`
    with pytest.raises(DecodeError, match="exceeded max depth"):
        decode_message(raw, table.struct("apiextensions.k8s.io/v1", "JSONSchemaProps"))


def _varint(number: int) -> bytes:
    out = b""
    while number >= 0x80:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])
