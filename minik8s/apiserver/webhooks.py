"""Calls to webhooks: a review goes out as JSON over HTTPS, its answer comes back. Admission and conversion share this.

Upstream: k8s.io/apiserver `pkg/util/webhook` ClientManager. A webhook is named by URL or by Service; the certificate of
the latter must be for `<service>.<namespace>.svc`, whatever address the endpoint has. Connections are kept open per CA
bundle and name. An answer is bounded in time and in size; proxies that the environment names are not used.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio
import attrs

from minik8s.clock import waiting_outside
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, Obj
from minik8s.schema import codec
from minik8s.schema.constraints import go_quoted
from minik8s.schema.decode import DecodeError

if TYPE_CHECKING:
    import httpx

    from minik8s.apiserver.context import ServerContext

WebhookAnswer = BaseException | tuple[int, bytes]
"""Instead of a call: what it fails with, or (status, body)."""
MAX_ANSWER = 8 << 20
"""Bytes: more than any object that could be stored."""
MAX_CLIENTS = 64
"""Pairs of CA bundle and server name whose connections are kept; the one unused for longest goes first."""
DEFAULT_PORT, MAX_PORT = 443, 65535
_SHOWN = 2048
"""Bytes of an answer that stands in an error (client-go maxUnstructuredResponseTextBytes)."""


class WebhookError(Exception):
    """The call failed; its text goes behind `failed calling webhook "x": `."""


@attrs.frozen
class _Target:
    """Where a review goes: the URL as errors show it, and as it is connected to."""

    shown: str
    url: str
    server_name: str = ""

    @property
    def address(self) -> str:
        """`host:port` as the URL says it."""
        return self.url.partition("//")[2].partition("/")[0].partition("?")[0]


class WebhookConnections:
    """The open connections of one server.

    By CA bundle and by the name that the certificate had to be for: a pool of connections knows addresses only, and two
    Services may answer at the same one.
    """

    def __init__(self) -> None:
        self._clients: dict[tuple[bytes, str], httpx.AsyncClient] = {}
        self.waiting: Counter[str] = Counter()
        """By URL: the calls that wait for an answer."""
        self.faults: dict[object, Callable[[str, float], Awaitable[WebhookAnswer | None]]] = {}
        """(webhook's name, seconds it has) -> what comes of a call instead of it, or None."""

    async def client(self, bundle: bytes, server_name: str) -> httpx.AsyncClient:
        """A client that trusts the bundle, or what the machine trusts when it is empty. Raises WebhookError."""
        key = (bundle, server_name)
        found = self._clients.pop(key, None)
        if found is None:
            found = _make_client(bundle)
            while len(self._clients) >= MAX_CLIENTS:
                await self._clients.pop(next(iter(self._clients))).aclose()
        self._clients[key] = found
        return found

    async def aclose(self) -> None:
        """Closes everything; a later call opens anew."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.aclose()


def _make_client(bundle: bytes) -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(verify=trusting(bundle), timeout=None, trust_env=False)


def trusting(bundle: bytes) -> ssl.SSLContext:
    """A TLS context that trusts a PEM bundle and nothing else. Raises WebhookError.

    Like Go's, it takes any certificate of the bundle for a root, also a server's own.
    """
    if not bundle:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=bundle.decode("ascii"))
    except (ssl.SSLError, ValueError):
        why = "unable to load root certificates: unable to parse bytes as PEM block"
        raise WebhookError(f"could not get REST client: {why}") from None
    return context


async def post_review(
    ctx: ServerContext, client_config: Doc, review: Obj, timeout_seconds: float, *, name: str = ""
) -> Obj:
    """POSTs a review to the webhook of a `WebhookClientConfig` and answers the JSON object that comes back.

    `name` is the webhook's, if it has one.

    Raises WebhookError; its text is upstream's, with Go's words for what the network did.
    """
    try:
        bundle = base64.b64decode(client_config.get("caBundle") or "")
    except (binascii.Error, ValueError):
        raise WebhookError("could not get REST client: illegal base64 data in caBundle") from None
    target = _target(ctx, client_config, f"timeout={timeout_seconds:g}s")
    for fault in list(ctx.webhooks.faults.values()):
        if (instead := await fault(name, timeout_seconds)) is not None:
            return _replaced(target, instead)
    client = await ctx.webhooks.client(bundle, target.server_name)
    waiting = ctx.webhooks.waiting
    waiting[target.shown] += 1
    try:
        with waiting_outside(ctx.clock), anyio.fail_after(timeout_seconds):
            code, answer, is_text = await _post(client, target, codec.dumps(review))
    except TimeoutError:
        raise _failed(target, "context deadline exceeded") from None
    finally:
        waiting[target.shown] -= 1
    return _understood(code, answer, is_text=is_text)


def _replaced(target: _Target, answer: WebhookAnswer) -> Obj:
    """What comes of a call that is never made."""
    if isinstance(answer, TimeoutError):
        raise _failed(target, "context deadline exceeded")
    if isinstance(answer, BaseException):
        raise _failed(target, _go_words(answer, target))
    return _understood(*answer, is_text=True)


def _target(ctx: ServerContext, config: Doc, query: str) -> _Target:
    service = config.get("service")
    if service is None:
        url = config.get("url") or ""
        url += ("&" if "?" in url else "?") + query
        return _Target(url, url)
    name, namespace, port = service["name"], service["namespace"], service.get("port") or DEFAULT_PORT
    server_name = f"{name}.{namespace}.svc"
    path = "/" + quote((service.get("path") or "").lstrip("/"), safe="/:@!$&'()*+,;=~")
    shown = f"https://{server_name}:{port}{path}?{query}"
    try:
        host, number = ctx.resolver.address(namespace, name, port)
    except ApiError as error:
        raise _failed(_Target(shown, shown), _lower_not_found(error, name)) from None
    host = f"[{host}]" if ":" in host else host
    return _Target(shown, f"https://{host}:{number}{path}?{query}", server_name)


def _lower_not_found(error: ApiError, name: str) -> str:
    """A lister's words: its errors name the kind in the singular."""
    return f'service "{name}" not found' if error.code == 404 else error.message


async def _post(client: httpx.AsyncClient, target: _Target, body: bytes) -> tuple[int, bytes, bool]:
    """(status, body, whether that is text) of the answer; raises WebhookError, also for an answer that does not end."""
    import httpx

    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, */*",
        "Accept-Encoding": "identity",  # what is compressed has no bound before it is there
        "User-Agent": "kube-apiserver-admission",
    }
    extensions: dict[str, Any] = {}
    if target.server_name:
        headers["Host"] = target.server_name
        extensions["sni_hostname"] = target.server_name
    try:
        request = client.build_request("POST", target.url, content=body, headers=headers, extensions=extensions)
        if (port := request.url.port or DEFAULT_PORT) > MAX_PORT:
            raise ValueError(f"dial tcp: address {port}: invalid port")
        response = await client.send(request, stream=True)
        try:
            parts, size = [], 0
            async for part in response.aiter_raw():
                parts.append(part)
                size += len(part)
                if size > MAX_ANSWER:
                    raise _failed(target, f"the answer is larger than {MAX_ANSWER} bytes")
        finally:
            await response.aclose()
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RuntimeError) as error:
        raise _failed(target, _go_words(error, target)) from None
    is_text = response.headers.get("content-type", "text/").startswith("text/")
    return response.status_code, b"".join(parts), is_text


def _failed(target: _Target, why: str) -> WebhookError:
    return WebhookError(f'failed to call webhook: Post "{target.shown}": {why}')


def _go_words(error: BaseException, target: _Target) -> str:
    """What Go's HTTP client would say about a failure."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"tls: failed to verify certificate: x509: {_x509(cause)}"
        if isinstance(cause, ConnectionRefusedError):
            return f"dial tcp {target.address}: connect: connection refused"
        if isinstance(cause, ConnectionResetError):
            return "read: connection reset by peer"
    if any(type(cause).__name__ in ("RemoteProtocolError", "ReadError", "EndOfStream") for cause in causes):
        return "EOF" if "disconnected" in str(error) or not str(error) else f"net/http: {error}"
    if any("All connection attempts failed" in str(cause) for cause in causes):
        return f"dial tcp {target.address}: connect: connection refused"
    return str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for part in error.exceptions:
                yield from _causes(part)
        error = error.__cause__ or error.__context__


def _x509(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in (18, 19, 20, 21):
        return "certificate signed by unknown authority"
    if error.verify_code in (9, 10):
        return "certificate has expired or is not yet valid"
    return error.verify_message.rstrip(".")


_ANSWERS = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    415: "the media type is unsupported",
    503: "the server is currently unable to handle the request",
}
"""client-go NewGenericServerResponse, for an answer that is no Status."""


def _understood(code: int, answer: bytes, *, is_text: bool) -> Obj:
    """The answer's JSON object; raises WebhookError for anything else."""
    text = answer[:_SHOWN].decode(errors="replace").strip() if is_text else "unknown"
    if not 200 <= code < 300:
        why = (
            _ANSWERS.get(code)
            or f"an error on the server ({go_quoted(text)}) has prevented the request from succeeding"
        )
        raise WebhookError(f"failed to call webhook: {text if code == 403 and text else why}")
    try:
        doc = codec.loads_value(answer)
    except DecodeError as error:
        raise WebhookError(f"failed to call webhook: couldn't get version/kind; json parse error: {error}") from None
    if not isinstance(doc, dict):
        raise WebhookError("failed to call webhook: couldn't get version/kind; json parse error: not an object")
    return doc
