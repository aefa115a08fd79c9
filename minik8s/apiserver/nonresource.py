"""Everything a server answers besides resources: discovery, OpenAPI, version, health, its own front page.

Documents are made when first asked for and kept until the set of resources changes. All of it is data that clients
cache, so answers carry ETags and honour If-None-Match.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from minik8s.api.request import JSON, PROTOBUF, YAML
from minik8s.apiserver import discovery, health, history, openapi
from minik8s.apiserver.aggregation import documents
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.counting import MEDIA_TYPE
from minik8s.apiserver.encoding import encode_document
from minik8s.apiserver.exposition import metrics_text
from minik8s.apiserver.flowcontrol import showing
from minik8s.apiserver.negotiation import REFUSAL, Representation, negotiate
from minik8s.apiserver.plain import NOT_FOUND, TEXT, PlainResponse
from minik8s.config import VERSION
from minik8s.machinery.errors import BadRequest, NotAcceptable, NotFound
from minik8s.machinery.meta import Doc, Obj, rfc3339
from minik8s.machinery.suggest import unknown

_PUBLIC = {"cache-control": "public"}
_KEYS = {"cache-control": "public, max-age=3600"}
_NO_CACHE = {"cache-control": "no-cache, private"}
_NEVER = "Fri, 31 Dec 9999 23:59:59 GMT"
_SUBJECT_TYPES = {"subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"]}


class Site:
    """The paths outside the resources of one server."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._started = ctx.clock.now()
        self._cache: dict[object, Any] = {}
        self._generation = (0, 0)

    def answer(
        self, path: str, headers: Mapping[bytes, bytes], options: Mapping[str, str], excluded: Sequence[str] = ()
    ) -> PlainResponse:
        """The answer to GET `path`. `excluded` are the values of the parameter `exclude`; there may be several."""
        parts = path.strip("/").split("/")
        head, rest = parts[0], parts[1:]
        if head in health.ROOTS:
            return health.answer(head, rest, options, excluded)
        if head == "metrics" and not rest:
            return PlainResponse(metrics_text(self._ctx).encode(), MEDIA_TYPE)
        if path == history.PATH:
            return self._history(options)
        if head in ("api", "apis"):
            return self._discovery(head, rest, headers)
        if head == "openapi":
            return self._openapi(rest, headers, options)
        simple: dict[str, Callable[[], Any]] = {
            "": self._front_page,
            "version": self._version,
        }
        whole = "/".join(parts)
        if whole == ".well-known/openid-configuration":
            return PlainResponse(_line(self._openid_configuration(headers)), headers=_KEYS)
        if whole == "openid/v1/jwks":
            return PlainResponse(_line(self._ctx.tokens.jwks()), "application/jwk-set+json", headers=_KEYS)
        if whole.startswith(showing.PREFIX):
            return self._flows(whole.removeprefix(showing.PREFIX))
        make = simple.get(whole)
        if make is None:
            return NOT_FOUND
        return PlainResponse(orjson.dumps(make(), option=orjson.OPT_INDENT_2), headers=_NO_CACHE)  # as for readers

    def _history(self, options: Mapping[str, str]) -> PlainResponse:
        """What became of an object: `resource` (with its group), `namespace` and `name` say which."""
        wanted = options.get("resource", "")
        found = next((r for r in self._ctx.registry.known if r.group_resource == wanted), None)
        if found is None:
            raise BadRequest(unknown("resource", wanted, [r.group_resource for r in self._ctx.registry.known]))
        namespace = options.get("namespace", "") if found.namespaced else ""
        document = history.history(self._ctx, found, options.get("name", ""), namespace).to_dict()
        return PlainResponse(orjson.dumps(document, default=str), headers=_NO_CACHE)

    def _flows(self, what: str) -> PlainResponse:
        self._ctx.flows.refresh()
        text = showing.dump(self._ctx.flows, what, self._ctx.clock)
        return NOT_FOUND if text is None else PlainResponse(text.encode(), TEXT)

    def unserved(self, group: str) -> PlainResponse:
        """The answer to a resource path that leads nowhere; raises NotFound where the group exists."""
        if group and self._group(group) is None:
            return NOT_FOUND
        raise NotFound.path()

    def _version(self) -> dict[str, str]:
        major, minor, _ = VERSION.removeprefix("v").split(".")
        return {
            "major": major,
            "minor": minor,
            "gitVersion": VERSION,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": rfc3339(self._started),
            "goVersion": "",
            "compiler": "",
            "platform": "linux/amd64",
        }

    def _front_page(self) -> dict[str, Any]:
        group_versions = {r.api_version for r in self._ctx.registry.resources}
        api = {f"/apis/{gv}" if "/" in gv else f"/api/{gv}" for gv in group_versions}
        groups = {f"/apis/{r.group}" for r in self._ctx.registry.resources if r.group}
        fixed = {"/api", "/apis", "/healthz", "/livez", "/readyz", "/openapi/v2", "/openapi/v3", "/version"}
        fixed |= {"/.well-known/openid-configuration", "/openid/v1/jwks"}
        return {"paths": sorted(api | groups | fixed)}

    def _openid_configuration(self, headers: Mapping[bytes, bytes]) -> dict[str, Any]:
        """The keys are where the asker has found this document: the server's address in a pod's network is another than
        outside of it, and nobody can follow a link to one that is not theirs."""
        authority = headers.get(b"host", b"").decode("latin-1") or "{}:{}".format(*self._ctx.address)
        return {
            "issuer": self._ctx.tokens.issuer,
            "jwks_uri": f"https://{authority}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            **_SUBJECT_TYPES,
        }

    def _cached(self, key: object, make: Callable[[], Any]) -> Any:
        generation = (self._ctx.registry.generation, self._ctx.remotes.generation)
        if self._generation != generation:
            self._generation = generation
            self._cache.clear()
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]

    def _discovery(self, head: str, rest: list[str], headers: Mapping[bytes, bytes]) -> PlainResponse:
        resources = self._ctx.registry.resources
        rest = [part for part in rest if part]
        if not rest:
            accept = headers.get(b"accept", b"").decode("latin-1")
            if media_type := _aggregated_type(accept):
                make = discovery.aggregated_core if head == "api" else self._aggregated_groups
                key = ("aggregated", head, media_type)
                found = self._cached(key, lambda: _encoded_as(media_type, make(resources)))
                return _tagged(found, headers, media_type=discovery.AGGREGATED_TYPE.replace(JSON, media_type))
            host, port = self._ctx.address
            legacy = head == "api"
            document = discovery.api_versions(f"{host}:{port}") if legacy else self._groups()
            return _document(document, headers)
        if head == "apis" and len(rest) == 1:
            group = self._group(rest[0])
            return _document(group, headers) if group is not None else NOT_FOUND
        found = discovery.api_resource_list("/".join(rest), resources)
        if found is None:
            if head == "apis" and self._group(rest[0]) is None:
                return NOT_FOUND
            raise NotFound.path()
        return _document(found, headers)

    def _openapi(self, rest: list[str], headers: Mapping[bytes, bytes], options: Mapping[str, str]) -> PlainResponse:
        if rest == ["v2"]:
            return self._openapi_v2(headers)
        if not rest or rest[0] != "v3":
            return NOT_FOUND
        path = "/".join(rest[1:])
        if not path:
            return _json(self._cached("openapi", self._openapi_index))
        group_version = path.removeprefix("apis/" if path.startswith("apis/") else "api/")
        document = self._cached(("openapi", path), lambda: self._openapi_document(group_version, path))
        if document is None:
            raise NotFound.path()
        body, current = document
        wanted = options.get("hash", "")
        if wanted and wanted != current:
            return PlainResponse(b"", TEXT, 301, {"location": f"/openapi/v3/{path}?hash={current}"})
        cache = {"cache-control": "public, immutable", "expires": _NEVER} if wanted else _NO_CACHE
        return _tagged((body, current), headers, cache=cache, media_type=JSON)

    def _groups(self) -> Obj:
        document = discovery.api_group_list(self._ctx.registry.resources)
        remotes = self._ctx.remotes.apis
        return documents.with_groups(document, remotes.values()) if remotes else document

    def _group(self, name: str) -> Obj | None:
        found = discovery.api_group(name, self._ctx.registry.resources)
        remote = [api for api in self._ctx.remotes.apis.values() if api.group == name]
        if not remote:
            return found
        entry = documents.with_group(found, name, documents.groups(remote)[name])
        return {"kind": "APIGroup", "apiVersion": "v1", **entry}

    def _aggregated_groups(self, resources: discovery.Resources) -> Obj:
        document, remotes = discovery.aggregated_groups(resources), self._ctx.remotes
        if not remotes.apis:
            return document
        return documents.with_aggregated(document, remotes.apis.values(), remotes.resources)

    def _openapi_index(self) -> Obj:
        document, remotes = openapi.openapi_v3_index(self._ctx.registry.resources), self._ctx.remotes
        for (group, version), url in remotes.openapi.items():
            if url:
                document["paths"][openapi.path_key(f"{group}/{version}")] = {"serverRelativeURL": url}
        return document

    def _openapi_document(self, group_version: str, path: str) -> tuple[bytes, str] | None:
        resources = self._ctx.registry.resources
        document = openapi.openapi_v3(group_version, resources, version=VERSION)
        if document is None or openapi.path_key(group_version) != path:
            return None
        return orjson.dumps(document) + b"\n", openapi.openapi_v3_hash(group_version, resources)

    def _openapi_v2(self, headers: Mapping[bytes, bytes]) -> PlainResponse:
        from minik8s.apiserver import swagger  # only old clients, and lists in files, ask for it

        accepted = swagger.media_type(headers.get(b"accept", b"").decode("latin-1"))
        if accepted is None:
            return PlainResponse(b"", TEXT, 406, {"vary": "Accept"})
        found = self._cached(("openapi v2", accepted), lambda: self._swagger(accepted == JSON))
        return _tagged(found, headers, cache=_NO_CACHE, media_type=accepted)

    def _swagger(self, as_json: bool) -> tuple[bytes, str]:
        from minik8s.apiserver.swagger import openapi_v2
        from minik8s.schema.gnostic import encode

        document = self._cached("openapi v2", lambda: openapi_v2(self._ctx.registry.resources, VERSION))
        body = _line(document) if as_json else encode(document)
        return body, hashlib.sha512(body).hexdigest().upper()


def _aggregated_type(accept: str) -> str:
    """JSON or PROTOBUF if the first clause that can be served is the aggregated document in it, else "".

    Raises NotAcceptable where no clause can be served.
    """
    if not accept.strip():
        return ""
    for clause in accept.split(","):
        media_type, *rest = (part.strip() for part in clause.split(";"))
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        if media_type in ("*/*", "application/*") or (media_type in _MEDIA_TYPES and "as" not in parameters):
            return ""
        wanted = (parameters.get("g"), parameters.get("v"))
        if media_type in (JSON, PROTOBUF) and wanted == ("apidiscovery.k8s.io", "v2"):
            return media_type
    raise NotAcceptable(REFUSAL)


_MEDIA_TYPES = (JSON, YAML, PROTOBUF)


def _document(document: Doc, headers: Mapping[bytes, bytes]) -> PlainResponse:
    """A discovery document as JSON, YAML or protobuf."""
    accept = headers.get(b"accept", b"").decode("latin-1")
    media_type = negotiate(accept, protobuf=True).media_type
    if media_type == JSON:
        return _json(document)
    if media_type == PROTOBUF:
        document = {"apiVersion": "v1", **document}
    return PlainResponse(encode_document(document, Representation(media_type)), media_type, headers=_NO_CACHE)


def _encoded_as(media_type: str, document: Doc) -> tuple[bytes, str]:
    tag = discovery.etag(document)
    if media_type == JSON:
        return orjson.dumps(document) + b"\n", tag
    return encode_document(document, Representation(media_type)), tag


def _tagged(
    found: tuple[bytes, str],
    headers: Mapping[bytes, bytes],
    *,
    cache: Mapping[str, str] = _PUBLIC,
    media_type: str = discovery.AGGREGATED_TYPE,
) -> PlainResponse:
    """A cacheable answer, or 304 when the client has it."""
    body, tag = found
    extra = {"etag": f'"{tag}"', "vary": "Accept", **cache}
    if headers.get(b"if-none-match", b"").decode("latin-1").strip('"') == tag:
        return PlainResponse(b"", media_type, 304, extra)
    return PlainResponse(body, media_type, 200, extra)


def _json(document: Any) -> PlainResponse:
    return PlainResponse(_line(document), headers=_NO_CACHE)


def _line(document: Any) -> bytes:
    return orjson.dumps(document) + b"\n"
