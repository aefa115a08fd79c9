"""Flow schemas and priority levels that every server has: what may be done to them, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.flowcontrol import AUTO_UPDATE, defaults
from minik8s.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from minik8s.apiserver.flowcontrol.maintaining import is_unwanted, revised

pytestmark = pytest.mark.anyio

SCHEMAS = FLOW_SCHEMAS.path()
LEVELS = PRIORITY_LEVEL_CONFIGURATIONS.path()
MERGE = "application/merge-patch+json"
WANTED = defaults()[(PRIORITY_LEVEL_CONFIGURATIONS.group_resource, "", "system")]
MANDATORY = defaults()[(PRIORITY_LEVEL_CONFIGURATIONS.group_resource, "", "catch-all")]
EDITED = {**WANTED["spec"], "limited": {**WANTED["spec"]["limited"], "nominalConcurrencyShares": 99}}


def stored(annotation: str | None, *, wanted: Any = WANTED, generation: int = 2, spec: Any = EDITED) -> dict[str, Any]:
    annotations = {} if annotation is None else {AUTO_UPDATE: annotation}
    return {**wanted, "metadata": {"name": wanted["metadata"]["name"], "generation": generation,
                                   "annotations": annotations}, "spec": spec}  # fmt: skip


@pytest.mark.parametrize(
    ("annotation", "generation", "keeps", "becomes"),
    [
        ("false", 1, True, "false"),
        ("False", 1, True, "False"),
        ("true", 2, False, "true"),
        ("1", 2, False, "1"),
        (None, 2, True, "false"),
        (None, 1, False, "true"),
        ("perhaps", 2, True, "false"),
        ("perhaps", 1, False, "true"),
    ],
)
def test_suggested_objects(annotation: str | None, generation: int, keeps: bool, becomes: str) -> None:
    """The annotation says whose the spec is; without one, it is the user's if it has ever been changed."""
    found = revised(stored(annotation, generation=generation), WANTED)
    assert found["spec"] == (EDITED if keeps else WANTED["spec"])
    assert found["metadata"]["annotations"] == {AUTO_UPDATE: becomes}
    assert found["metadata"]["generation"] == generation + (not keeps)


@pytest.mark.parametrize(("annotation", "becomes"), [("true", "true"), ("false", "true"), (None, "true")])
def test_mandatory_objects(annotation: str | None, becomes: str) -> None:
    """Whatever the annotation says."""
    found = revised(stored(annotation, wanted=MANDATORY), MANDATORY)
    assert (found["spec"], found["metadata"]["annotations"]) == (MANDATORY["spec"], {AUTO_UPDATE: becomes})


def test_what_is_right_stays() -> None:
    """It is the same object, and nothing is written."""
    for annotation, spec in (("true", WANTED["spec"]), ("false", EDITED)):
        obj = stored(annotation, spec=spec)
        assert revised(obj, WANTED) is obj


@pytest.mark.parametrize(
    ("annotation", "unwanted"), [("true", True), ("T", True), ("false", False), ("x", False), (None, False)]
)
def test_unwanted_objects(annotation: str | None, unwanted: bool) -> None:
    """What claims to be the server's and is not."""
    assert is_unwanted(stored(annotation)) is unwanted


@pytest.mark.parametrize("name", ["exempt", "catch-all", "system", "global-default"])
async def test_what_is_deleted_comes_back(server: Any, name: str) -> None:
    """Level and, where there is one, schema, anew: with another uid."""
    for path in (LEVELS, SCHEMAS):
        if (before := await server.call("GET", f"{path}/{name}")).status_code == 404:
            continue
        await server.ok("DELETE", f"{path}/{name}")
        after = await server.ok("GET", f"{path}/{name}")
        assert after["spec"] == before.json()["spec"]
        assert after["metadata"]["uid"] != before.json()["metadata"]["uid"]
    schemas = (await server.ok("GET", SCHEMAS))["items"]
    assert all(schema["status"]["conditions"][0]["status"] == "False" for schema in schemas)


async def test_a_suggested_level_can_be_ones_own(server: Any) -> None:
    """Together with the annotation, or after it; without, the spec is put right before anybody sees it."""
    shares = {"spec": {"limited": {"nominalConcurrencyShares": 99}}}
    for marks, expected in (({}, 30), ({AUTO_UPDATE: "false"}, 99), ({AUTO_UPDATE: "true"}, 30)):
        await server.ok("PATCH", f"{LEVELS}/system", {"metadata": {"annotations": marks}, **shares}, type=MERGE)
        found = await server.ok("GET", f"{LEVELS}/system")
        assert found["spec"]["limited"]["nominalConcurrencyShares"] == expected


async def test_what_is_not_the_servers_goes(server: Any) -> None:
    """An object that says it is one of the server's, as an older server's would; others stay."""
    spec = {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}
    for name, marks in (("old", {AUTO_UPDATE: "true"}), ("mine", {AUTO_UPDATE: "false"}), ("plain", {})):
        await server.ok("POST", LEVELS, {"metadata": {"name": name, "annotations": marks}, "spec": spec})
    names = [item["metadata"]["name"] for item in (await server.ok("GET", LEVELS))["items"]]
    assert {"mine", "plain"} <= set(names)
    assert "old" not in names


@pytest.mark.parametrize(("path", "name", "change", "exception"), [
    (LEVELS, "catch-all", {"limited": {"nominalConcurrencyShares": 6}}, ""),
    (SCHEMAS, "catch-all", {"matchingPrecedence": 9999}, ""),
    (SCHEMAS, "exempt", {"priorityLevelConfiguration": {"name": "system"}}, ""),
])  # fmt: skip
async def test_mandatory_specs_are_fixed(server: Any, path: str, name: str, change: Any, exception: str) -> None:
    """A change is refused, with upstream's words."""
    response = await server.call("PATCH", f"{path}/{name}", {"spec": change}, type=MERGE)
    assert response.status_code == 422
    (cause,) = response.json()["details"]["causes"]
    assert cause["field"] == "spec"
    assert cause["message"].endswith(f"spec of '{name}'{exception} must equal the fixed value")


async def test_what_is_set_aside_for_the_exempt(server: Any) -> None:
    """Is the user's to say: no annotation is asked for it, and it stays."""
    change = {"spec": {"exempt": {"nominalConcurrencyShares": 10, "lendablePercent": 50}}}
    await server.ok("PATCH", f"{LEVELS}/exempt", change, type=MERGE)
    found = await server.ok("GET", f"{LEVELS}/exempt")
    assert found["spec"]["exempt"] == change["spec"]["exempt"]
    await server.ok("DELETE", f"{LEVELS}/system")
    assert (await server.ok("GET", f"{LEVELS}/exempt"))["spec"] == found["spec"]


@pytest.mark.parametrize(("queuing", "field", "message"), [
    ({"queues": 10**7 + 1}, "queues", "must not be greater than 10000000"),
    ({"queues": 4, "handSize": 5}, "handSize", "should not be greater than queues (4)"),
    ({"queues": 512, "handSize": 8}, "handSize",
     "required entropy bits of deckSize 512 and handSize 8 should not be greater than 60"),
])  # fmt: skip
async def test_hands_that_cannot_be_dealt(server: Any, queuing: Any, field: str, message: str) -> None:
    """More queues or larger hands than a hash can tell apart."""
    response = {"type": "Queue", "queuing": {"handSize": 1, "queueLengthLimit": 1, **queuing}}
    body = {"metadata": {"name": "m"}, "spec": {"type": "Limited", "limited": {"limitResponse": response}}}
    answer = await server.call("POST", LEVELS, body)
    assert answer.status_code == 422
    causes = {cause["field"].rpartition(".")[2]: cause["message"] for cause in answer.json()["details"]["causes"]}
    assert causes[field].endswith(message)
