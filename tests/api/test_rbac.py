"""What rules mean: matching, covering, describing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minik8s.api.rbac import FULL_AUTHORITY, allows_path, allows_resource, describe, uncovered


def rule(verbs: str, groups: str = "", resources: str = "", names: str = "", urls: str = "") -> dict[str, Any]:
    """A PolicyRule from words; the core group is `core`."""
    given: dict[str, Any] = {"verbs": verbs.split()}
    if urls:
        return given | {"nonResourceURLs": urls.split()}
    given |= {"apiGroups": [g.replace("core", "") for g in groups.split()], "resources": resources.split()}
    return given | ({"resourceNames": names.split()} if names else {})


@pytest.mark.parametrize(
    ("held", "question", "allowed"),
    [
        (rule("get list", "core", "pods"), ("get", "", "pods", ""), True),
        (rule("get list", "core", "pods"), ("watch", "", "pods", ""), False),
        (rule("get", "core", "pods"), ("get", "apps", "pods", ""), False),
        (rule("get", "core", "pods"), ("get", "", "pods", "log"), False),
        (rule("get", "core", "pods/log"), ("get", "", "pods", "log"), True),
        (rule("get", "core", "pods/log"), ("get", "", "pods", ""), False),
        (rule("get", "core", "pods/*"), ("get", "", "pods", "log"), False),
        (rule("get", "core", "*/log"), ("get", "", "pods", "log"), True),
        (rule("get", "core", "*/log"), ("get", "", "pods", "status"), False),
        (rule("get", "core", "*"), ("get", "", "pods", "log"), True),
        (rule("*", "*", "*"), ("anything", "any.io", "things", "some"), True),
        (rule("get", "core", ""), ("get", "", "pods", ""), False),
        (rule("get", urls="*"), ("get", "", "pods", ""), False),
        ({"verbs": ["get"]}, ("get", "", "pods", ""), False),
    ],
)
def test_resources(held: Any, question: Any, allowed: bool) -> None:
    """A rule speaks of verbs, groups and resources, each by name or all; subresources are named with their resource."""
    assert allows_resource(held, *question) is allowed


@pytest.mark.parametrize(
    ("urls", "path", "allowed"),
    [
        ("/healthz", "/healthz", True),
        ("/healthz", "/healthz/", False),
        ("/healthz/*", "/healthz/ping", True),
        ("/healthz/*", "/healthz", False),
        ("/api*", "/apis/apps", True),
        ("*", "/anything", True),
        ("/a /b", "/b", True),
        ("/a*c", "/abc", False),
    ],
)
def test_paths(urls: str, path: str, allowed: bool) -> None:
    """A path is named whole, or by what stands before a final star."""
    assert allows_path(rule("get", urls=urls), "get", path) is allowed
    assert not allows_path(rule("get", urls=urls), "post", path)


@pytest.mark.parametrize(
    ("owned", "wanted", "missing"),
    [
        ([rule("get list", "core", "pods")], [rule("get", "core", "pods")], []),
        (
            [rule("get", "core", "pods")],
            [rule("get list", "core", "pods")],
            ['{APIGroups:[""], Resources:["pods"], Verbs:["list"]}'],
        ),
        ([rule("get", "core", "pods", "a")], [rule("get", "core", "pods", "a")], []),
        (
            [rule("get", "core", "pods", "a")],
            [rule("get", "core", "pods")],
            ['{APIGroups:[""], Resources:["pods"], Verbs:["get"]}'],
        ),
        (
            [rule("get", "core", "pods", "a")],
            [rule("get", "core", "pods", "a b")],
            ['{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}'],
        ),
        ([rule("get", "core", "*/log")], [rule("get", "core", "pods/log")], []),
        (
            [rule("get", "core", "pods")],
            [rule("get", "core", "*")],
            ['{APIGroups:[""], Resources:["*"], Verbs:["get"]}'],
        ),
        ([rule("get", urls="/healthz/*")], [rule("get", urls="/healthz/ping")], []),
        ([rule("get", urls="/a")], [rule("get", urls="/a/*")], ['{NonResourceURLs:["/a/*"], Verbs:["get"]}']),
        (
            [],
            [rule("get list", "apps core", "deployments pods")],
            [
                '{APIGroups:[""], Resources:["deployments"], Verbs:["get" "list"]}',
                '{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}',
                '{APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}',
                '{APIGroups:["apps"], Resources:["pods"], Verbs:["get" "list"]}',
            ],
        ),
        (list(FULL_AUTHORITY), list(FULL_AUTHORITY), []),
        ([rule("*", "*", "*")], list(FULL_AUTHORITY), ['{NonResourceURLs:["*"], Verbs:["*"]}']),
    ],
)
def test_what_is_missing(owned: Any, wanted: Any, missing: Any) -> None:
    """What one set of rules does not cover of another, as an escalation's refusal shows it."""
    assert describe(uncovered(owned, wanted)) == missing


NAMES = st.lists(st.sampled_from(["a", "b", "a/s", "*", "*/s"]), min_size=1, max_size=3)
RULES = st.lists(
    st.fixed_dictionaries(
        {"verbs": NAMES, "apiGroups": NAMES, "resources": NAMES},
        optional={"resourceNames": st.lists(st.sampled_from("xy"))},
    ),
    max_size=3,
)


@given(RULES)
def test_rules_cover_themselves(rules: Any) -> None:
    """Whoever holds rules may grant them, and full authority covers every rule."""
    assert uncovered(rules, rules) == []
    assert uncovered(FULL_AUTHORITY, rules) == []


@given(RULES, RULES, st.sampled_from("ab"), st.sampled_from(["", "s"]))
def test_covered_rules_allow_no_more(owned: Any, wanted: Any, word: str, sub: str) -> None:
    """What covered rules allow, the covering ones allow: nobody gains anything by being granted them."""
    if uncovered(owned, wanted):
        return
    unnamed = [r for r in wanted if not r.get("resourceNames")]
    if any(allows_resource(r, word, word, word, sub) for r in unnamed):
        assert any(allows_resource(r, word, word, word, sub) for r in owned if not r.get("resourceNames"))
