"""What changes on the way through: headers of one hop, links, locations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minik8s.apiserver.proxying import SchemedName, split_name
from minik8s.apiserver.proxyrewrite import end_to_end, forwarded_headers, rewrite_page, rewrite_url

PREFIX = "/api/v1/namespaces/default/pods/p/proxy"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("p", ("", "p", "")),
        ("p:80", ("", "p", "80")),
        ("https:p:", ("https", "p", "")),
        ("http:p:web", ("http", "p", "web")),
        ("https:p", ("", "https", "p")),
    ],
)
def test_names(text: str, parts: tuple[str, str, str]) -> None:
    """Two parts are name and port, three begin with a scheme."""
    assert split_name(text) == SchemedName(*parts)


@pytest.mark.parametrize("text", ["", ":80", "ftp:p:80", "a:b:c:d", "https::80"])
def test_names_that_are_none(text: str) -> None:
    """Another scheme, no name, or too many parts."""
    assert split_name(text) is None


def test_headers_of_one_hop() -> None:
    """What Connection names is dropped with the rest; so are credentials, and claims about where it came from."""
    headers = [
        (b"host", b"api"),
        (b"connection", b"keep-alive, X-Mine"),
        (b"x-mine", b"1"),
        (b"keep-alive", b"5"),
        (b"te", b"trailers"),
        (b"accept", b"*/*"),
        (b"authorization", b"Bearer secret"),
        (b"impersonate-user", b"jane"),
        (b"x-forwarded-for", b"9.9.9.9"),
        (b"x-forwarded-host", b"lie"),
    ]
    assert end_to_end([(b"connection", b"close"), (b"a", b"b")]) == [(b"a", b"b")]
    assert forwarded_headers(headers, client="1.2.3.4", scheme="https", path="/x") == [
        (b"host", b"api"),
        (b"accept", b"*/*"),
        (b"x-forwarded-for", b"9.9.9.9, 1.2.3.4"),
        (b"x-forwarded-host", b"api"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-uri", b"/x"),
    ]


@pytest.mark.parametrize(
    ("url", "through_us"),
    [
        ("/a", PREFIX + "/a"),
        ("/a/?q=1#f", PREFIX + "/a/?q=1#f"),
        ("/", PREFIX + "/"),
        ("http://10.0.0.1:80/a", PREFIX + "/a"),
        ("http://api/a", PREFIX + "/a"),
        (PREFIX + "/a", PREFIX + "/a"),
        ("relative", "relative"),
        ("http://elsewhere/a", "http://elsewhere/a"),
        ("//[", "//["),
    ],
)
def test_locations(url: str, through_us: str) -> None:
    """A redirection to the backend itself leads through us; others and relative ones stay."""
    assert rewrite_url(url, prefix=PREFIX, backend="10.0.0.1:80", host="api") == through_us


def test_pages() -> None:
    """Absolute links lead through us, whatever the attribute; others and text stay."""
    page = b"""<a href="/x">/x</a> <img src='/y.png'> <a href="z"> <a href="//other/x"> <FORM ACTION = "/f">"""
    proxied = rewrite_page(page, "/P")
    assert proxied == (
        b"""<a href="/P/x">/x</a> <img src='/P/y.png'> <a href="z"> <a href="//other/x"> """
        b"""<FORM ACTION = "/P/f">"""
    )
    assert rewrite_page(proxied, "/P") == proxied


@given(st.text(max_size=60))
def test_any_location(url: str) -> None:
    """Nonsense in a Location header is passed on or rewritten, never an exception, and rewritten once."""
    once = rewrite_url(url, prefix=PREFIX, backend="b", host="h")
    assert rewrite_url(once, prefix=PREFIX, backend="b", host="h") == once
