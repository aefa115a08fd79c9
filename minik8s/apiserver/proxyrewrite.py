"""What changes in a request or answer on its way through the API server: headers of one hop, and links. Pure.

Upstream: k8s.io/apimachinery `pkg/util/proxy/transport.go` and Go's httputil.ReverseProxy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from posixpath import normpath
from urllib.parse import urlsplit, urlunsplit

Header = tuple[bytes, bytes]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
OURS = frozenset({b"authorization", b"expect"})
"""Request headers that were for the API server: what came with them is no business of a pod's."""
MAX_HTML = 1 << 20
"""Bytes of a page whose links are rewritten; a longer one is passed on as it is."""
_LINK = re.compile(
    rb"""(\s(?:href|src|action|formaction|cite|data|poster|background|longdesc|manifest|codebase|icon|usemap)\s*=\s*)"""
    rb"""(["'])(/[^"'<>]*)\2""",
    re.IGNORECASE,
)


def end_to_end(headers: Iterable[Header]) -> list[Header]:
    """Without what concerns only one connection, and what Connection says does."""
    headers = list(headers)
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    return [(name, value) for name, value in headers if name not in HOP_BY_HOP and name not in named]


def forwarded_headers(headers: Iterable[Header], *, client: str, scheme: str, path: str) -> list[Header]:
    """A request's headers as the backend gets them, with those that say where the request came from."""
    kept, before, host = [], list[bytes](), b""
    for name, value in end_to_end(headers):
        if name in OURS or name.startswith((b"impersonate-", b"x-remote-")):
            continue
        if name == b"x-forwarded-for":
            before.append(value)
        elif not name.startswith(b"x-forwarded-"):
            kept.append((name, value))
        if name == b"host":
            host = value
    kept.append((b"x-forwarded-for", b", ".join([*before, client.encode()])))
    kept.append((b"x-forwarded-host", host))
    kept.append((b"x-forwarded-proto", scheme.encode()))
    kept.append((b"x-forwarded-uri", path.encode("latin-1", "replace")))
    return kept


def rewrite_url(url: str, *, prefix: str, backend: str, host: str) -> str:
    """A URL of the backend as a client reaches it through us: below `prefix`. Others stay, relative ones too.

    `backend` and `host` are the host and port as the backend and as the client know them.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if parts.netloc not in ("", backend, host) or not parts.path.startswith("/"):
        return url
    path = parts.path
    if not path.startswith(prefix):
        path = normpath(prefix + path) + ("/" if path.endswith("/") else "")
    return urlunsplit(("", "", path, parts.query, parts.fragment))


def rewrite_page(page: bytes, prefix: str) -> bytes:
    """A page whose absolute links lead through us."""

    def link(match: re.Match[bytes]) -> bytes:
        target = match[3]
        if target.startswith((b"//", prefix.encode())):
            return match[0]
        return match[1] + match[2] + prefix.encode() + target + match[2]

    return _LINK.sub(link, page)
