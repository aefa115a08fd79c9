"""From the definition to the resource: what is served when, and what goes when the definition goes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.custom.definitions import DEFINITIONS, FOOS, condition, crd, foo, schema_of, version_of

pytestmark = pytest.mark.anyio

STRING = {"type": "string"}


async def test_a_definition_is_served_when_its_creation_is_answered(server: Any) -> None:
    """Conditions, discovery in both forms and the resource itself, without any controller."""
    before = (await server.call("GET", "/apis", headers=AGGREGATED)).headers["etag"]
    made = await server.ok("POST", DEFINITIONS, crd(names={"shortNames": ["fo"], "categories": ["all"]}))
    assert condition(made, "NamesAccepted") == ("True", "NoConflicts", "no conflicts found")
    assert condition(made, "Established")[:2] == ("True", "InitialNamesAccepted")
    assert made["status"]["storedVersions"] == ["v1"]
    assert made["status"]["acceptedNames"]["listKind"] == "FooList"
    created = await server.ok("POST", FOOS, foo(spec={"a": 1}))
    assert created["metadata"]["generation"] == 1
    listed = await server.ok("GET", FOOS)
    assert (listed["kind"], listed["items"]) == ("FooList", [created])
    resources = (await server.ok("GET", "/apis/example.com/v1"))["resources"]
    assert [(r["name"], r["shortNames"], r["categories"]) for r in resources] == [("foos", ["fo"], ["all"])]
    aggregated = await server.call("GET", "/apis", headers=AGGREGATED)
    assert aggregated.headers["etag"] != before
    assert aggregated.json()["items"][-1]["metadata"]["name"] == "example.com"
    assert "apis/example.com/v1" in (await server.ok("GET", "/openapi/v3"))["paths"]


AGGREGATED = {"accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}


async def test_a_dry_run_serves_nothing(server: Any) -> None:
    """Its answer shows the conditions, but the group does not exist."""
    made = await server.ok("POST", DEFINITIONS + "?dryRun=All", crd())
    assert condition(made, "Established")[0] == "True"
    assert (await server.call("GET", FOOS)).status_code == 404
    await server.ok("POST", DEFINITIONS, crd())
    await server.ok("DELETE", f"{DEFINITIONS}/foos.example.com?dryRun=All")
    await server.ok("POST", FOOS, foo())


@pytest.mark.parametrize(
    ("names", "reason", "message"),
    [
        ({"kind": "Foo", "listKind": "OtherList"}, "KindConflict", '"Foo" is already in use'),
        ({"shortNames": ["fo", "x"]}, "ShortNamesConflict", '"fo" is already in use'),
        ({"singular": "foo"}, "SingularConflict", '"foo" is already in use'),
        ({"listKind": "FooList"}, "ListKindConflict", '"FooList" is already in use'),
    ],
)
async def test_names_belong_to_who_asked_first(server: Any, names: Any, reason: str, message: str) -> None:
    """The second definition is not served until the first has gone, and then at once."""
    await server.ok("POST", DEFINITIONS, crd(names={"shortNames": ["fo"]}))
    bars = crd(names={"plural": "bars", "kind": "Bar", **names})
    made = await server.ok("POST", DEFINITIONS, bars)
    assert condition(made, "NamesAccepted") == ("False", reason, message)
    assert condition(made, "Established") == ("False", "NotAccepted", "not all names are accepted")
    path = "/apis/example.com/v1/bars"
    assert (await server.call("GET", path)).status_code == 404
    await server.ok("DELETE", f"{DEFINITIONS}/foos.example.com")
    assert condition(await server.ok("GET", f"{DEFINITIONS}/bars.example.com"), "NamesAccepted")[0] == "True"
    await server.ok("GET", path)


async def test_deletion_takes_the_objects_along_and_ends_watches(server: Any) -> None:
    """Watchers hear of every deletion before their stream ends."""
    await server.ok("POST", DEFINITIONS, crd())
    for name in ("a", "b"):
        await server.ok("POST", FOOS, foo(name))
    async with server.watching(f"{FOOS}?watch=true") as events:
        assert await events.names(2) == [("ADDED", "a"), ("ADDED", "b")]
        answer = await server.ok("DELETE", f"{DEFINITIONS}/foos.example.com")
        assert answer["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
        assert condition(answer, "Terminating")[:2] == ("True", "InstanceDeletionPending")
        rest = await events.rest()
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in rest] == [("DELETED", "a"), ("DELETED", "b")]
    assert (await server.call("GET", f"{DEFINITIONS}/foos.example.com")).status_code == 404
    assert (await server.call("GET", FOOS)).text == "404 page not found\n"
    assert not server.ctx.store.occupied("foos.example.com")


async def test_objects_with_finalizers_keep_the_definition(server: Any) -> None:
    """It terminates until they go; meanwhile nothing new is created, by no verb."""
    await server.ok("POST", DEFINITIONS, crd())
    held = foo(metadata={"name": "f", "finalizers": ["example.com/wait"]})
    await server.ok("POST", FOOS, held)
    await server.ok("DELETE", f"{DEFINITIONS}/foos.example.com")
    left = await server.ok("GET", f"{DEFINITIONS}/foos.example.com")
    assert condition(left, "Terminating")[:2] == ("True", "InstanceDeletionInProgress")
    assert "deletionTimestamp" in (await server.ok("GET", f"{FOOS}/f"))["metadata"]
    message = "create not allowed while custom resource definition is terminating"
    await server.refused("POST", FOOS, 405, "MethodNotAllowed", message, foo("g"))
    apply = {"type": "application/apply-patch+yaml", "params": {"fieldManager": "me"}}
    await server.refused("PATCH", f"{FOOS}/g", 405, "MethodNotAllowed", message, foo("g"), **apply)
    await server.ok("PATCH", f"{FOOS}/f", {"metadata": {"finalizers": None}}, type="application/merge-patch+json")
    assert (await server.call("GET", f"{DEFINITIONS}/foos.example.com")).status_code == 404
    assert (await server.call("GET", FOOS)).status_code == 404


async def test_a_recreated_definition_starts_anew(server: Any) -> None:
    """With another schema and another scope."""
    await server.ok("POST", DEFINITIONS, crd(version_of(schema=schema_of(a=STRING))))
    await server.ok("POST", FOOS, foo(spec={"a": "x"}))
    await server.ok("DELETE", f"{DEFINITIONS}/foos.example.com")
    await server.ok("POST", DEFINITIONS, crd(version_of(schema=schema_of(b=STRING)), scope="Cluster"))
    made = await server.ok("POST", "/apis/example.com/v1/foos", foo(spec={"a": "x", "b": "y"}))
    assert made["spec"] == {"b": "y"}


async def test_watches_survive_a_change_of_the_schema(server: Any) -> None:
    """What is stored is shown as the new schema has it, to open watches as well."""
    made = await server.ok("POST", DEFINITIONS, crd(version_of(schema=schema_of(a=STRING))))
    await server.ok("POST", FOOS, foo("old", spec={"a": "x"}))
    async with server.watching(f"{FOOS}?watch=true") as events:
        assert await events.names(1) == [("ADDED", "old")]
        made["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema_of(b={**STRING, "default": "new"})
        await server.ok("PUT", f"{DEFINITIONS}/foos.example.com", made)
        assert (await server.ok("GET", f"{FOOS}/old"))["spec"] == {"b": "new"}
        await server.ok("POST", FOOS, foo("new", spec={"a": "x"}))
        event = await events.next()
        assert (event["type"], event["object"]["spec"]) == ("ADDED", {"b": "new"})
        patch = {"metadata": {"labels": {"x": "y"}}}
        await server.ok("PATCH", f"{FOOS}/old", patch, type="application/merge-patch+json")
        event = await events.next()
        assert (event["type"], event["object"]["spec"]) == ("MODIFIED", {"b": "new"})


async def test_nobody_takes_over_what_is_built_in(server: Any) -> None:
    """A definition in a built-in group and version is stored and accepted, but the built-in kind stays what it is."""
    definition = crd(group="networking.k8s.io", names={"plural": "ingresses", "kind": "Ingress"})
    definition["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, a test"}
    made = await server.ok("POST", DEFINITIONS, definition)
    assert condition(made, "KubernetesAPIApprovalPolicyConformant") == (
        "False",
        "UnapprovedAnnotation",
        'not approved: "unapproved, a test"',
    )
    path = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
    answer = await server.call("POST", path, {"metadata": {"name": "i"}, "spec": {}})
    assert answer.status_code == 422
    await server.ok("DELETE", f"{DEFINITIONS}/ingresses.networking.k8s.io")
    assert (await server.ok("GET", path))["kind"] == "IngressList"


async def test_a_change_of_type_is_a_change(server: Any) -> None:
    """Where the schema leaves it open: true is not 1, though Python says so."""
    await server.ok("POST", DEFINITIONS, crd())
    await server.ok("POST", FOOS, foo(spec={"a": 1}))
    patched = await server.ok("PATCH", f"{FOOS}/f", {"spec": {"a": True}}, type="application/merge-patch+json")
    assert patched["spec"]["a"] is True
    assert (await server.ok("GET", f"{FOOS}/f"))["spec"]["a"] is True


async def test_formats_that_nobody_checks_earn_a_warning(server: Any) -> None:
    """Each once; those of numbers are known."""
    fields = {"a": "int32", "b": "date-time", "c": "colour", "d": "colour", "format": "x"}
    schema = schema_of(**{name: {**STRING, "format": text} for name, text in fields.items()})
    answer = await server.call("POST", DEFINITIONS, crd(version_of(schema=schema)))
    expected = [f'299 - "unrecognized format \\"{name}\\""' for name in ("colour", "x")]
    assert answer.headers.get_list("warning") == expected


async def test_names_may_change(server: Any) -> None:
    """Short names and categories follow the definition; plural and kind stay."""
    made = await server.ok("POST", DEFINITIONS, crd(names={"shortNames": ["fo"]}))
    made["spec"]["names"]["shortNames"] = ["f"]
    changed = await server.ok("PUT", f"{DEFINITIONS}/foos.example.com", made)
    assert changed["status"]["acceptedNames"]["shortNames"] == ["f"]
    assert (await server.ok("GET", "/apis/example.com/v1"))["resources"][0]["shortNames"] == ["f"]
    changed["spec"]["names"]["kind"] = "Other"
    changed["spec"]["scope"] = "Cluster"
    answer = await server.call("PUT", f"{DEFINITIONS}/foos.example.com", changed)
    assert [(c["field"], c["message"]) for c in answer.json()["details"]["causes"]] == [
        ("spec.scope", 'Invalid value: "Cluster": field is immutable'),
        ("spec.names.kind", 'Invalid value: "Other": field is immutable'),
    ]


async def test_kinds_of_other_resources_are_no_custom_resources(server: Any) -> None:
    """An object has to say what it is; nothing is assumed for it."""
    await server.ok("POST", DEFINITIONS, crd())
    missing = "Object 'Kind' is missing in 'unstructured object has no kind'"
    await server.refused("POST", FOOS, 400, "BadRequest", missing, {"apiVersion": "example.com/v1"})
    other = "the API version in the data (v1) does not match the expected API version (example.com/v1)"
    await server.refused("POST", FOOS, 400, "BadRequest", other, {**foo(), "apiVersion": "v1"})
    kind = 'Foo.example.com "f" is invalid: kind: Invalid value: "Bar": must be Foo'
    await server.refused("POST", FOOS, 422, "Invalid", kind, {**foo(), "kind": "Bar"})


async def test_there_is_no_protobuf_and_no_strategic_merge(server: Any) -> None:
    """Both need compiled types."""
    await server.ok("POST", DEFINITIONS, crd())
    await server.ok("POST", FOOS, foo())
    unknown = "the body of the request was in an unknown format - accepted media types include: "
    await server.refused(
        "POST", FOOS, 415, "UnsupportedMediaType", unknown + "application/json, application/yaml", b"k8s\x00",
        type="application/vnd.kubernetes.protobuf",
    )  # fmt: skip
    types = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    await server.refused(
        "PATCH", f"{FOOS}/f", 415, "UnsupportedMediaType", unknown + types, {},
        type="application/strategic-merge-patch+json",
    )  # fmt: skip
    accept = {"accept": "application/vnd.kubernetes.protobuf,application/json"}
    got = await server.call("GET", f"{FOOS}/f", headers=accept)
    assert got.headers["content-type"] == "application/json"
