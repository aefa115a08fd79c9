"""JSON and YAML in, documents and duplicates out."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minik8s.schema.codec import DecodeError, dumps, dumps_yaml, load_manifests, loads_json, loads_value, loads_yaml

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=5)


@given(OBJECTS)
def test_json_round_trips_without_duplicates(doc: dict[str, Any]) -> None:
    """No document without duplicates is ever accused of them, whatever its strings hold."""
    assert loads_json(dumps(doc)) == (doc, [])
    assert loads_json(dumps(doc, indent=True)) == (doc, [])


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=10)


@given(st.dictionaries(PRINTABLE, PRINTABLE, max_size=5))
def test_yaml_strings_round_trip(doc: dict[str, str]) -> None:
    """Whatever text is written as YAML is read back as the same text, never as a number or a bool."""
    assert loads_yaml(dumps_yaml({"data": doc})) == ({"data": doc}, [])


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (b'{"a":1,"a":2}', ["a"]),
        (b'{"a" : 1, "a" : 2}', ["a"]),
        (b'{"data":{"x":"1","x":"2"},"l":[{"c":1},{"c":1,"c":1}]}', ["data.x", "l[1].c"]),
        (b'{"a":"\\":","b":"\\\\"}', []),
    ],
)
def test_duplicate_json_fields_are_found(text: bytes, paths: list[str]) -> None:
    """The paths name list indexes; quotes inside of strings do not confuse the count."""
    assert loads_json(text)[1] == paths


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{bad", "invalid character 'b' looking for beginning of object key string"),
        (b"", "unexpected end of JSON input"),
        (b'{"a":1', "unexpected end of JSON input"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b"{}x", "invalid character 'x' after top-level value"),
        (b'{"a":NaN}', "invalid character 'N' looking for beginning of value"),
        (b'{"a":"\xff"}', "invalid UTF-8 in JSON input"),
        (b"[1]", "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        (b"null", "json: cannot unmarshal null into Go value of type map[string]interface {}"),
        (b"[" * 100_000, "exceeded max depth"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "exceeded max depth"),
    ],
)
def test_broken_json_is_described_as_go_does(text: bytes, message: str) -> None:
    """People see Go's words."""
    with pytest.raises(DecodeError) as caught:
        loads_json(text)
    assert str(caught.value) == message


def test_a_patch_may_be_a_list() -> None:
    """loads_value takes any JSON value."""
    assert loads_value(b'[{"op":"remove"}]') == [{"op": "remove"}]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("1", 1), ("+1", 1), ("0x1f", 31), ("0777", 511), ("0o17", 15), ("0b11", 3), ("1_000", 1000), ("08", 8),
        ("1e3", 1000), ("1.0", 1), ("1.5", 1.5), (".5", 0.5), ("yes", True), ("off", False), ("y", True),
        ("~", None), ("", None), ("22:22", "22:22"), ("2024-01-01", "2024-01-01"), ("1.2.3", "1.2.3"),
        ("'1'", "1"), ("!!str 5", "5"), ("-", None), ("1Gi", "1Gi"), ("100m", "100m"), ("0x", "0x"), ("-.5", -0.5),
    ],
)  # fmt: skip
def test_yaml_scalars_are_go_yamls(scalar: str, value: Any) -> None:
    """No dates, no base 60, YAML 1.1 booleans."""
    if scalar == "-":
        assert loads_yaml(b"a:\n-\n")[0] == {"a": [value]}
    else:
        found = loads_yaml(f"a: {scalar}".encode())[0]["a"]
        assert found == value
        assert type(found) is type(value)


def test_yaml_keys_become_strings_and_duplicates_are_reported() -> None:
    """Numbers and booleans as keys are texts in JSON."""
    assert loads_yaml(b"5: a\ntrue: b\nx: {z: 1, z: 2}\n") == ({"5": "a", "true": "b", "x": {"z": 2}}, ["x.z"])


def test_yaml_merge_keys_give_way_to_explicit_ones() -> None:
    """`<<` fills in what the mapping itself does not say, and the copies are private."""
    doc = loads_yaml(b"base: &b {x: {a: 1}, b: 2}\none:\n  <<: *b\n  b: 3\ntwo: {<<: [*b]}\n")[0]
    assert doc["one"] == {"b": 3, "x": {"a": 1}}
    assert doc["two"]["x"] is not doc["base"]["x"]


@pytest.mark.parametrize(
    "text",
    [b"a: [", b"a: b: c", b"- 1", b"", b"a: .inf", b"a: &a [*a]", b"\x00", b"? [1]\n: 2", b"a: \xff", b"<<: 1",
     b"[" * 5000, b"a: " + b"1" * 400 + b"e400"],
)  # fmt: skip
def test_broken_yaml_is_refused(text: bytes) -> None:
    """Every broken document ends as DecodeError."""
    with pytest.raises(DecodeError):
        loads_yaml(text)


def test_alias_bombs_are_defused() -> None:
    """A few hundred bytes cannot become a billion nodes."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(DecodeError, match="excessive aliasing"):
        loads_yaml("\n".join(lines).encode())


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_decode_errors(data: bytes) -> None:
    """Random input is a document or a DecodeError."""
    for load in (loads_json, loads_yaml):
        try:
            load(data)
        except DecodeError:
            continue


def test_manifests_are_flattened() -> None:
    """Several documents, empty ones skipped, lists expanded, items of typed lists get their kind."""
    text = "a: 1\n---\n---\n# nothing\n---\n" + '{"kind":"List","apiVersion":"v1","items":[{"kind":"Pod"}]}'
    text += "\n---\nkind: PodList\napiVersion: v1\nitems: [{b: 2}]\n"
    assert load_manifests(text) == [{"a": 1}, {"kind": "Pod"}, {"kind": "Pod", "apiVersion": "v1", "b": 2}]


def test_yaml_output_is_sorted_and_reads_back() -> None:
    """Block style, sorted keys, literal blocks for several lines."""
    doc = {"b": ["x\ny\n", "1", 1, None, True, 1.5, {}], "a": math.pi}
    text = dumps_yaml(doc)
    assert text.startswith(b"a: 3.14")
    assert b"- |\n" in text
    assert loads_yaml(text)[0] == doc


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1.0}',
        '{"a": [1e2, -3.5]}',
        '{"a": "x, 1.5"}',
        '{"a": 1}',
        "{a: 1.0}",
        '{"a": "\\u00e9\\/"}',
        '{"a": 1}\n---\nb: 1',
    ],
)
def test_json_is_read_as_the_yaml_it_is(text: str) -> None:
    """JSON sent as YAML has the values that YAML gives it: a whole number is an int however it is spelled."""
    from minik8s.schema import yamlform

    expected = next(yamlform.documents(text.replace("\\/", "/").encode()))[0]
    found = loads_yaml(text.encode())[0]
    assert (found, [type(v) for v in found.values()]) == (expected, [type(v) for v in expected.values()])
