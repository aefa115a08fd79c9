"""URLs as Go's `net/url.ParseRequestURI` takes them. Upstream: k8s.io/apiserver `pkg/cel/library/urls.go`."""

from __future__ import annotations

import re
import urllib.parse

import attrs

from minik8s.cel.declare import table
from minik8s.cel.errors import EvaluationError
from minik8s.cel.values import Opaque

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*", re.ASCII)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.ASCII | re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:\[\]<>\"%\x80-\U0010ffff]*")
_PORT = re.compile(r":[0-9]*", re.ASCII)
_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/\[\]]|%[0-9A-Fa-f]{2})*", re.ASCII)


@attrs.frozen
class URL(Opaque):
    """A parsed URL; `path` is as written."""

    text: str
    scheme: str
    host: str
    path: str
    query: str

    cel_name = "kubernetes.URL"

    def __str__(self) -> str:
        return self.text


def _parts(text: str) -> URL:
    """Raises ValueError with Go's words."""
    if not text:
        raise ValueError('parse "": empty url')
    if any(ord(char) < 0x20 or char == "\x7f" for char in text):
        raise ValueError(f"parse {_quoted(text)}: net/url: invalid control character in URL")
    scheme, rest = "", text.partition("#")[0]
    head, colon, tail = rest.partition(":")
    if colon and _SCHEME.fullmatch(head):
        scheme, rest = head.lower(), tail
    elif colon and head == "":
        raise ValueError(f"parse {_quoted(text)}: missing protocol scheme")
    rest, _, query = rest.partition("?")
    if not rest.startswith("/"):
        if scheme:
            return URL(text, scheme, "", "", query)
        raise ValueError(f"parse {_quoted(text)}: invalid URI for request")
    host = ""
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        rest, host = slash + path, _host(text, authority.rpartition("@")[2])
    if bad := _BAD_ESCAPE.search(rest):
        raise ValueError(f"parse {_quoted(text)}: invalid URL escape {_quoted(bad.group())}")
    return URL(text, scheme, host, rest, query)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _host(text: str, host: str) -> str:
    if host.startswith("["):
        end = host.rfind("]")
        if end < 0:
            raise ValueError(f"parse {_quoted(text)}: missing ']' in host")
        port = host[end + 1 :]
    else:
        port = host[host.index(":") :] if ":" in host else ""
        port = host[host.rindex(":") :] if port.count(":") > 1 else port
    if port and not _PORT.fullmatch(port):
        raise ValueError(f"parse {_quoted(text)}: invalid port {_quoted(port)} after host")
    match = _HOST.match(host)
    end = match.end() if match else 0
    if end < len(host):
        raise ValueError(f"parse {_quoted(text)}: invalid character {_quoted(host[end])} in host name")
    return host


def _url(text: str) -> URL:
    try:
        return _parts(text)
    except ValueError as error:
        raise EvaluationError(f"URL parse error during conversion from string: {error}") from None


def url_problem(text: str) -> str:
    """Why a text is no URL; "" when it is one."""
    try:
        _parts(text)
    except ValueError as error:
        return str(error)
    return ""


def _host_and_port(url: URL) -> tuple[str, str]:
    host, colon, port = url.host.rpartition(":")
    if not colon or not port.isascii() or (port and not port.isdigit()):
        host, port = url.host, ""
    return (host[1:-1] if host.startswith("[") and host.endswith("]") else host), port


def _escaped_path(url: URL) -> str:
    if _PATH.fullmatch(url.path):
        return url.path
    return urllib.parse.quote(urllib.parse.unquote(url.path), safe="$&+,/:;=@~")


def _query(url: URL) -> dict[str, list[str]]:
    try:
        return urllib.parse.parse_qs(url.query, keep_blank_values=True)
    except ValueError:
        return {}


_U = URL.cel_name
FUNCTIONS = table(
    [
        ("url", f"(string) -> {_U}", _url),
        ("isURL", "(string) -> bool", lambda text: not url_problem(text)),
        ("getScheme", f"{_U}.() -> string", lambda url: url.scheme),
        ("getHost", f"{_U}.() -> string", lambda url: url.host),
        ("getHostname", f"{_U}.() -> string", lambda url: _host_and_port(url)[0]),
        ("getPort", f"{_U}.() -> string", lambda url: _host_and_port(url)[1]),
        ("getEscapedPath", f"{_U}.() -> string", _escaped_path),
        ("getQuery", f"{_U}.() -> map(string, list(string))", _query),
    ]
)
