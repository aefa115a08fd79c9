"""Reading documents, changing copies of them, and conditions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from minik8s.machinery import meta
from minik8s.machinery.frozen import freeze

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "7"},
    "spec": {"containers": [{"name": "c"}], "nodeName": "n"},
}


def test_what_is_not_there_reads_as_empty() -> None:
    """Readers of metadata answer "" or nothing for what an object does not have."""
    bare = {"metadata": {}}
    assert (meta.name_of(bare), meta.namespace_of(bare), meta.uid_of(bare), meta.revision_of(bare)) == ("", "", "", 0)
    assert (meta.labels_of(bare), meta.annotations_of(bare), meta.owner_references(bare)) == ({}, {}, ())
    assert meta.controller_of(bare) is None
    assert meta.revision_of(POD) == 7


def test_the_controller_among_the_owners() -> None:
    """An object's controller is the one owner that says so, and a reference made here does."""
    reference = meta.controller_reference(POD)
    owned = {"metadata": {"ownerReferences": [{"kind": "ConfigMap", "uid": "other"}, reference]}}
    assert meta.controller_of(owned) == reference
    assert (reference["kind"], reference["name"], reference["uid"]) == ("Pod", "p", "u")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("spec", "nodeName"), "m", {**POD, "spec": {**POD["spec"], "nodeName": "m"}}),
        (("spec", "nodeName"), None, {**POD, "spec": {"containers": [{"name": "c"}]}}),
        (("status", "phase"), "Running", {**POD, "status": {"phase": "Running"}}),
        (("status", "phase"), None, POD),
        (("spec",), None, {k: v for k, v in POD.items() if k != "spec"}),
    ],
)
def test_evolve(path: tuple[str, ...], value: Any, expected: Any) -> None:
    """A changed copy has the new value, or lacks the field; the original, even a frozen one, stays what it was."""
    original = freeze(POD)
    assert meta.evolve(original, *path, value=value) == expected
    assert original == POD


def test_evolve_shares_what_it_does_not_touch() -> None:
    """Only the dictionaries along the path are new."""
    changed = meta.evolve(POD, "spec", "nodeName", value="m")
    assert changed["metadata"] is POD["metadata"]
    assert changed["spec"]["containers"] is POD["spec"]["containers"]


def test_a_copied_document_is_plain_and_independent() -> None:
    """A deep copy of a frozen document can be changed all the way down."""
    copy = meta.copy_document(freeze(POD))
    copy["spec"]["containers"][0]["name"] = "other"
    copy["spec"]["containers"].append({})
    assert POD["spec"]["containers"] == [{"name": "c"}]


def test_times_are_utc() -> None:
    """Timestamps are written in UTC, whatever the zone, in seconds or microseconds, and are read back."""
    when = datetime(2026, 1, 1, 1, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))
    assert meta.rfc3339(when) == "2026-01-01T00:00:00Z"
    assert meta.rfc3339_micro(when) == "2026-01-01T00:00:00.250000Z"
    assert meta.parse_time("2026-01-01T01:00:00.25+01:00") == meta.parse_time("2026-01-01T00:00:00.250000Z") == when
    assert meta.parse_time("2026-01-01T00:00:00Z").tzinfo is UTC


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z"])
def test_what_is_no_time(text: str) -> None:
    """Anything else raises ValueError."""
    with pytest.raises(ValueError, match=r"."):
        meta.parse_time(text)


def ready(status: str, since: str = "then", **more: str) -> dict[str, str]:
    return {"type": "Ready", "status": status, "lastTransitionTime": since, **more}


@pytest.mark.parametrize(
    ("old", "status", "since"),
    [(None, "True", "now"), (ready("True"), "True", "then"), (ready("False"), "True", "now"), ({}, "True", "now")],
)
def test_transition_time(old: Any, status: str, since: str) -> None:
    """The transition time moves when the status does, and only then."""
    assert meta.transition_time(old, status, "now") == since


def test_set_condition() -> None:
    """A condition takes its type's place in the list, keeps fields the new one does not mention, or is appended."""
    other = {"type": "Other", "status": "True"}
    new = {"type": "Ready", "status": "True", "reason": "Fine"}
    kept = meta.set_condition([ready("True", lastProbeTime="p"), other], new, "now")
    assert kept == [ready("True", lastProbeTime="p", reason="Fine"), other]
    assert meta.set_condition([other], new, "now") == [other, {**new, "lastTransitionTime": "now"}]
    assert meta.set_condition(None, new, "now") == [{**new, "lastTransitionTime": "now"}]


def test_is_condition_true() -> None:
    """Only a status of "True" counts."""
    assert meta.is_condition_true({"status": {"conditions": [ready("True")]}}, "Ready")
    for status in ("False", "Unknown"):
        assert not meta.is_condition_true({"status": {"conditions": [ready(status)]}}, "Ready")
    assert not meta.is_condition_true({}, "Ready")


def test_times_have_years_of_four_digits() -> None:
    """A year before 1000 is padded, as RFC 3339 wants it; strftime leaves that to the platform."""
    assert meta.rfc3339(datetime(7, 1, 2, tzinfo=UTC)) == "0007-01-02T00:00:00Z"
