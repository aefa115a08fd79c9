"""What a server answers besides resources: health, version, discovery, keys."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
BETA = AGGREGATED.replace("v=v2", "v=v2beta1")


@pytest.mark.parametrize("path", ["healthz", "livez", "readyz"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_health(server: Any, path: str, method: str) -> None:
    """`ok` without a newline; the checks on request."""
    response = await server.call(method, f"/{path}")
    assert (response.status_code, response.text) == (200, "ok")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert (await server.call(method, f"/{path}/ping")).text == "ok"
    verbose = (await server.call(method, f"/{path}?verbose")).text.splitlines()
    assert verbose[0] == "[+]ping ok"
    assert verbose[-1] == f"{path} check passed"


@pytest.mark.parametrize("path", ["/version", "/version/"])
async def test_version(server: Any, path: str) -> None:
    """As kubectl and Python read it, in lines for people, as upstream writes it whoever asks."""
    version = await server.ok("GET", path)
    assert (await server.call("GET", path)).text.startswith('{\n  "major": "1",\n')
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"].startswith("v1.36.")


@pytest.mark.parametrize("path", ["/api", "/apis"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_aggregated_discovery(server: Any, path: str, slash: str) -> None:
    """Served to those who ask first for it, with a tag that makes the second time free."""
    response = await server.call("GET", f"{path}{slash}?timeout=32s", headers={"accept": f"{AGGREGATED},{BETA}"})
    assert response.headers["content-type"] == AGGREGATED
    assert response.headers["vary"] == "Accept"
    assert response.json()["kind"] == "APIGroupDiscoveryList"
    tag = response.headers["etag"]
    assert tag.startswith('"')
    again = await server.call("GET", path, headers={"accept": AGGREGATED, "if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    other = await server.call("GET", path, headers={"accept": AGGREGATED, "if-none-match": '"x"'})
    assert other.status_code == 200
    legacy = await server.call("GET", path, headers={"accept": f"application/json,{AGGREGATED}"})
    assert legacy.headers["content-type"] == "application/json"
    assert (await server.call("GET", path, headers={"accept": BETA})).status_code == 406


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api", "APIVersions"),
        ("/api/", "APIVersions"),
        ("/apis", "APIGroupList"),
        ("/apis/", "APIGroupList"),
        ("/api/v1", "APIResourceList"),
        ("/api/v1/", "APIResourceList"),
        ("/apis/apps", "APIGroup"),
        ("/apis/apps/", "APIGroup"),
        ("/apis/apps/v1", "APIResourceList"),
        ("/apis/apps/v1/", "APIResourceList"),
    ],
)
async def test_legacy_discovery(server: Any, path: str, kind: str) -> None:
    """With and without a trailing slash."""
    assert (await server.ok("GET", path))["kind"] == kind


async def test_unknown_versions(server: Any) -> None:
    """Of a known group: a Status; of an unknown one: plain text."""
    message = "the server could not find the requested resource"
    for path in ("/apis/apps/v9", "/api/v2"):
        await server.refused("GET", path, 404, "NotFound", message)
    assert (await server.call("GET", "/apis/nope.io/v1")).text == "404 page not found\n"


async def test_openapi(server: Any) -> None:
    """Addresses carry the hash of what is there, a stale one leads to the right one."""
    index = await server.ok("GET", "/openapi/v3")
    url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
    response = await server.call("GET", url)
    assert "immutable" in response.headers["cache-control"]
    stale = await server.call("GET", "/openapi/v3/apis/apps/v1?hash=old")
    assert (stale.status_code, stale.headers["location"]) == (301, url)
    again = await server.call("GET", url, headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304
    assert (await server.call("GET", "/openapi/v3/apis/nope/v1")).status_code == 404
    assert (await server.call("GET", "/openapi/v2")).status_code == 200


async def test_the_front_page(server: Any) -> None:
    """All paths, sorted; each of them answers."""
    paths = (await server.ok("GET", "/"))["paths"]
    assert paths == sorted(paths)
    for path in paths:
        assert (await server.call("GET", path)).status_code == 200, path


async def test_keys(server: Any) -> None:
    """Where others find what our tokens are signed with: at the address by which they came."""
    response = await server.call("GET", "/.well-known/openid-configuration", headers={"host": "api.example:1"})
    assert response.json()["jwks_uri"] == "https://api.example:1/openid/v1/jwks"
    assert response.headers["cache-control"] == "public, max-age=3600"
    config = response.json()
    assert config["issuer"] == server.ctx.tokens.issuer
    assert config["id_token_signing_alg_values_supported"] == ["RS256"]
    response = await server.call("GET", "/openid/v1/jwks")
    assert response.headers["content-type"] == "application/jwk-set+json"
    (key,) = response.json()["keys"]
    assert {"use", "kty", "kid", "alg", "n", "e"} <= key.keys()
    assert not key.keys() & {"d", "p", "q"}


@pytest.mark.parametrize("path", ["/healthz", "/version", "/nope"])
async def test_heads(server: Any, path: str) -> None:
    """The same headers, and no body."""
    response = await server.call("HEAD", path)
    assert response.content == b""
    assert response.status_code == (404 if path == "/nope" else 200)
