"""Taking requests to the servers of remote APIs: whole HTTP calls as they come, and requests made in process.

An HTTP call is streamed both ways, so that watches and upgrades work. In process the answer is read whole; watches are
refused there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import anyio
import attrs

from minik8s.api.request import ADMIN, JSON, METHODS, ApiRequest, ListResult, User
from minik8s.apiserver.aggregation.remote import RemoteApi, identity
from minik8s.apiserver.plain import NOSNIFF, TEXT, PlainResponse
from minik8s.apiserver.response import ApiResponse, ListResponse, ObjectResponse, ProxyTarget
from minik8s.apiserver.webhooks import WebhookError
from minik8s.machinery.errors import ApiError, ServiceUnavailable
from minik8s.machinery.meta import Obj
from minik8s.schema import codec
from minik8s.schema.decode import DecodeError

if TYPE_CHECKING:
    import httpx

    from minik8s.apiserver.context import ServerContext
    from minik8s.apiserver.httpcall import HttpCall

ANSWER_SECONDS = 30.0
MAX_ANSWER = 64 << 20
"""Bytes of an answer that is read whole."""
MAX_SHOWN = 2048
"""Bytes of an answer that stand in an error."""
UNAVAILABLE = PlainResponse(b"service unavailable\n", TEXT, 503, NOSNIFF, only_get=False)


class NotInProcess(ApiError):
    """What only an HTTP client gets of a remote API."""

    code, reason = 501, "NotImplemented"


async def pass_on(ctx: ServerContext, call: HttpCall, user: User, api: RemoteApi) -> PlainResponse | None:
    """Lets the API's server answer an HTTP call; the answer to it where there is nobody to ask."""
    from minik8s.apiserver import reverseproxy

    if api.group_version not in ctx.remotes.available:
        return UNAVAILABLE
    try:
        address = ctx.resolver.address(api.namespace, api.service, api.port)
        context = ctx.remotes.context(api)
    except (ApiError, WebhookError):
        return UNAVAILABLE
    target = ProxyTarget(
        host=api.server_name,
        port=api.port,
        tls=True,
        dial=partial(anyio.connect_tcp, *address),
        context=context,
        headers=tuple(identity(user)),
    )
    query = b"?" + call.query.encode("latin-1") if call.query else b""
    await reverseproxy.pass_on(call, target, "", call.raw_path + query)
    return None


@attrs.frozen
class Answer:
    """An answer that has been read whole."""

    code: int
    body: bytes

    def document(self) -> Obj:
        """Raises ServiceUnavailable when it is no JSON object."""
        try:
            document = codec.loads_value(self.body)
        except DecodeError as error:
            raise ServiceUnavailable(f"the answer is no JSON: {error}") from None
        if not isinstance(document, dict):
            raise ServiceUnavailable("the answer is no JSON object")
        return document


async def ask(
    ctx: ServerContext,
    api: RemoteApi,
    method: str,
    path: str,
    *,
    user: User = ADMIN,
    options: Mapping[str, str] | None = None,
    body: bytes | None = None,
    content_type: str = JSON,
) -> Answer:
    """One exchange. Raises ServiceUnavailable, with the reason, when there is no answer."""
    import httpx

    headers = [*identity(user), (b"accept", JSON.encode()), (b"host", api.server_name.encode())]
    if body is not None:
        headers.append((b"content-type", content_type.encode()))
    try:
        host, port = ctx.resolver.address(api.namespace, api.service, api.port)
        host = f"[{host}]" if ":" in host else host
        async with httpx.AsyncClient(verify=ctx.remotes.context(api), trust_env=False, timeout=None) as client:
            query = f"?{urlencode(options)}" if options else ""
            request = client.build_request(
                method,
                f"https://{host}:{port}{path}{query}",
                content=body,
                headers=headers,
                extensions={"sni_hostname": api.server_name},
            )
            with anyio.fail_after(ANSWER_SECONDS):
                response = await client.send(request, stream=True)
                return Answer(response.status_code, await _whole(response))
    except TimeoutError:
        raise ServiceUnavailable("context deadline exceeded") from None
    except (httpx.HTTPError, OSError, WebhookError) as error:
        raise ServiceUnavailable(str(error) or type(error).__name__) from None


async def _whole(response: httpx.Response) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER:
            raise OSError(f"the answer is larger than {MAX_ANSWER} bytes")
    return b"".join(parts)


async def forward(ctx: ServerContext, request: ApiRequest, api: RemoteApi) -> ApiResponse:
    """Answers a request that was made in process. Raises ApiError, the other server's too."""
    if api.group_version not in ctx.remotes.available:
        raise ServiceUnavailable("service unavailable")
    if request.verb == "watch":
        raise NotInProcess(f"watches of {request.resource.group_resource} are passed on over HTTP only, not in process")
    path = request.resource.path(request.namespace, request.name, request.subresource)
    body = request.body if isinstance(request.body, bytes | None) else codec.dumps(request.body)
    answer = await ask(
        ctx, api, METHODS[request.verb], path,
        user=request.user, options=request.options, body=body, content_type=request.content_type or JSON,
    )  # fmt: skip
    if answer.code >= 400:
        raise _failure(answer)
    document = answer.document()
    if request.verb != "list":
        return ObjectResponse(document, code=answer.code)
    return ListResponse(_listed(document, request), request.resource)


def _failure(answer: Answer) -> ApiError:
    """A Status if the server sent one."""
    try:
        document = answer.document()
    except ServiceUnavailable:
        document = {}
    if document.get("kind") == "Status":
        return ApiError.from_status(document, answer.code)
    text = answer.body[:MAX_SHOWN].decode(errors="replace").strip()
    return ApiError.from_status({"message": text}, answer.code)


def _listed(document: Obj, request: ApiRequest) -> ListResult:
    """Items carry their apiVersion and kind, as those of this server do."""
    head = {"apiVersion": request.resource.api_version, "kind": request.resource.kind}
    meta = document.get("metadata") or {}
    items = [{**head, **item} for item in document.get("items") or ()]
    remaining = meta.get("remainingItemCount")
    return ListResult(items, str(meta.get("resourceVersion", "")), str(meta.get("continue", "")), remaining)
