"""The road to an API server over HTTP: JSON both ways, watches as lines.

What comes in is made to look as it does in process: items of a list carry apiVersion and kind, failures are
`ApiError`s whatever the body of the answer was, and nobody answering is an `OSError`. Requests that the server
asks to repeat (429 and 5xx with Retry-After) are repeated, as client-go does.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from copy import copy
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import httpx
import orjson

from minik8s.api.request import ADMIN, JSON, METHODS, ApiRequest, ByteStream, ListResult, User, WatchEvent, WatchStream
from minik8s.api.users import AUTHENTICATED, named
from minik8s.client.client import Client
from minik8s.client.kubeconfig import ClientConfig, KubeconfigError, load_kubeconfig
from minik8s.clock import Clock, RealClock
from minik8s.machinery.errors import ApiError, InternalError
from minik8s.machinery.meta import Obj

Headers: TypeAlias = list[tuple[str, str]]
MAX_RETRIES = 10
"""client-go `rest.Request`: how often a Retry-After is obeyed."""
TIMEOUT = httpx.Timeout(30.0, read=None)
"""Seconds to connect and to send; an answer may take as long as it takes."""


class HttpTransport:
    """A `Transport` over an httpx client whose base URL is the server's; it closes that client."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        clock: Clock | None = None,
        token_file: Path | None = None,
        server_name: str = "",
        accept: str = JSON,
    ) -> None:
        self._http = http
        self._accept = accept
        self._extensions = {"sni_hostname": server_name} if server_name else {}
        self._clock = clock or RealClock()
        self._token_file = token_file

    @classmethod
    def from_config(cls, config: ClientConfig) -> HttpTransport:
        """A transport to the server that a kubeconfig names. Raises KubeconfigError for unusable certificates."""
        headers = {"Authorization": f"Bearer {config.token}"} if config.token else {}
        http = httpx.AsyncClient(
            base_url=config.server,
            headers=headers,
            auth=(config.username, config.password) if config.username else None,
            verify=ssl_context(config),
            proxy=config.proxy or None,
            timeout=TIMEOUT,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
            trust_env=False,
        )
        return cls(http, token_file=config.token_file, server_name=config.server_name)

    def accepting(self, media_type: str) -> HttpTransport:
        """The same connection with another Accept header: `call` answers what the server makes of it, a Table say."""
        other = copy(self)
        other._accept = media_type
        return other

    async def fetch(self, path: str) -> Obj:
        """The JSON document at a URL path that is no resource: discovery, /version."""
        return await self._exchange(lambda: self._http.build_request("GET", path, headers=self._common_headers()))

    async def call(self, request: ApiRequest) -> Obj:
        return await self._document(request)

    async def list(self, request: ApiRequest) -> ListResult:
        document = await self._document(request)
        metadata = document.get("metadata") or {}
        kind, api_version = request.resource.kind, request.resource.api_version
        items = [{"apiVersion": api_version, "kind": kind, **item} for item in document.get("items") or ()]
        return ListResult(
            items,
            metadata.get("resourceVersion", ""),
            metadata.get("continue", ""),
            metadata.get("remainingItemCount"),
        )

    @asynccontextmanager
    async def watch(self, request: ApiRequest) -> AsyncIterator[WatchStream]:
        async with self._streamed(request) as response, aclosing(_batches(response)) as batches:
            yield batches

    @asynccontextmanager
    async def stream(self, request: ApiRequest) -> AsyncIterator[ByteStream]:
        async with self._streamed(request) as response, aclosing(_chunks(response)) as chunks:
            yield chunks

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _document(self, request: ApiRequest) -> Obj:
        return await self._exchange(lambda: self._build(request))

    async def _exchange(self, build: Callable[[], httpx.Request]) -> Obj:
        with _failures():
            for retries in range(MAX_RETRIES + 1):
                response = await self._http.send(build())
                wait = retry_after(response.status_code, response.headers.get("Retry-After", ""))
                if wait is None or retries == MAX_RETRIES:
                    break
                await self._clock.sleep(wait)
        if response.status_code >= 400:
            raise error_of(response)
        try:
            document: Obj = orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise InternalError(f"the server's answer is not JSON: {error}") from None
        return document

    @asynccontextmanager
    async def _streamed(self, request: ApiRequest) -> AsyncIterator[httpx.Response]:
        with _failures():
            response = await self._http.send(self._build(request), stream=True)
        try:
            if response.status_code >= 400:
                with _failures():
                    await response.aread()
                raise error_of(response)
            yield response
        finally:
            await response.aclose()

    def _build(self, request: ApiRequest) -> httpx.Request:
        path = request.resource.path(request.namespace, request.name, request.subresource)
        params: dict[str, Any] = {**request.options, **request.repeated}
        if request.verb == "watch":
            params["watch"] = "true"
        body = request.body
        content = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        return self._http.build_request(
            METHODS[request.verb],
            quote(path + request.path, safe="/:@!$&'()*+,;=~"),
            params=params,
            content=content,
            headers=self._headers(request),
            extensions={**self._extensions, "timeout": self._http.timeout.as_dict()},
        )

    def _headers(self, request: ApiRequest) -> Headers:
        headers = self._common_headers()
        if request.body is not None:
            headers.append(("Content-Type", request.content_type or JSON))
        if request.user_agent:
            headers.append(("User-Agent", request.user_agent))
        return headers + impersonation(request.user)

    def _common_headers(self) -> Headers:
        headers = [("Accept", self._accept)]
        if self._token_file is not None:
            headers.append(("Authorization", f"Bearer {self._token_file.read_text('utf-8').strip()}"))
        return headers


def connect(path: Path | None = None, context: str = "") -> Client:
    """A client for the server that a kubeconfig names; see `load_kubeconfig`. Raises KubeconfigError."""
    return Client(HttpTransport.from_config(load_kubeconfig(path, context)))


def impersonation(user: User) -> Headers:
    """Headers that make the server treat a request as `user`'s; none for the administrator a client is by default."""
    if user == ADMIN:
        return []
    headers = [("Impersonate-User", user.name)]
    if user.uid:
        headers.append(("Impersonate-Uid", user.uid))
    if user.groups != named(user.name).groups:  # what goes without saying needs no permission either
        headers += [("Impersonate-Group", group) for group in user.groups if group != AUTHENTICATED]
    extra = [(quote(key.lower(), safe=""), value) for key, values in user.extra.items() for value in values]
    return headers + [(f"Impersonate-Extra-{key}", value) for key, value in extra]


def ssl_context(config: ClientConfig) -> ssl.SSLContext | bool:
    """The TLS settings of a configuration; without a CA the system's are trusted. Raises KubeconfigError."""
    if not config.server.startswith("https://"):
        return False
    try:
        context = ssl.create_default_context(cadata=config.ca.decode("ascii") if config.ca else None)
        if config.certificate:
            _load_pair(context, config.certificate, config.key)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"unusable certificate: {error}") from None
    if config.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def error_of(response: httpx.Response) -> ApiError:
    """The failure that an answer stands for, whether its body is a Status or anything else."""
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict) and body.get("kind") == "Status":
        return ApiError.from_status(body, response.status_code)
    text = response.text.strip()[:1024] or response.reason_phrase
    return ApiError.from_status({"message": text}, response.status_code)


async def _batches(response: httpx.Response) -> AsyncGenerator[list[WatchEvent], None]:
    """Events as they arrive; those of one chunk are one batch."""
    parts: list[bytes] = []
    async with aclosing(_chunks(response)) as chunks:
        async for chunk in chunks:
            end = chunk.rfind(b"\n") + 1
            if not end:
                parts.append(chunk)
                continue
            lines = b"".join((*parts, chunk[:end])).splitlines()
            parts = [chunk[end:]]
            if batch := [_event(line) for line in lines if line]:
                yield batch


def _event(line: bytes) -> WatchEvent:
    try:
        event = orjson.loads(line)
        return WatchEvent(event["type"], event["object"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise InternalError("the server sent a watch event that cannot be read") from None


async def _chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    with _failures():
        async for chunk in response.aiter_bytes():
            yield chunk


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error


def retry_after(status: int, header: str) -> float | None:
    """Seconds after which the server wants the request again, None when it does not; `header` is its Retry-After."""
    if status != 429 and status < 500:
        return None
    return float(header) if header.isdigit() else None


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """OpenSSL reads key pairs from files only, so one exists for a moment."""
    with tempfile.TemporaryDirectory() as folder:
        cert_file, key_file = Path(folder, "tls.crt"), Path(folder, "tls.key")
        cert_file.write_bytes(certificate)
        key_file.touch(0o600)
        key_file.write_bytes(key)
        context.load_cert_chain(cert_file, key_file)
