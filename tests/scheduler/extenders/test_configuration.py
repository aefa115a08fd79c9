"""`extenders` of a KubeSchedulerConfiguration: defaults, and what upstream refuses."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from minik8s.clock import RealClock
from minik8s.scheduler.configuration import parse_configuration
from minik8s.scheduler.extenders.client import Extender
from minik8s.scheduler.extenders.configuration import ExtenderConfiguration, TLSConfiguration, parse_extenders
from minik8s.scheduler.fields import ConfigurationError
from minik8s.scheduler.outsiders import Nobody, outsiders

URL = "http://127.0.0.1:1/x"
HEAD: Any = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
PEM = b"-----BEGIN CERTIFICATE-----"
DATA = base64.b64encode(PEM).decode()


def one(**fields: Any) -> ExtenderConfiguration:
    (found,) = parse_extenders([{"urlPrefix": URL, **fields}])
    return found


def test_defaults() -> None:
    """Nothing but a URL is an extender that has no say, is asked for 5 s, and may not fail."""
    assert one() == ExtenderConfiguration(URL)
    assert (one().timeout, one().ignorable, one().managed) == (5.0, False, None)
    assert one(httpTimeout="0s").timeout == 5.0


def test_fields() -> None:
    """Every field arrives."""
    found = one(
        filterVerb="f",
        preemptVerb="e",
        prioritizeVerb="p",
        bindVerb="b",
        weight=3,
        httpTimeout="200ms",
        nodeCacheCapable=True,
        ignorable=True,
        managedResources=[{"name": "a.io/b", "ignoredByScheduler": True}, {"name": "a.io/c"}],
    )
    managed, ignored = frozenset({"a.io/b", "a.io/c"}), frozenset({"a.io/b"})
    assert found == ExtenderConfiguration(
        URL, "f", "e", "p", "b", 3, TLSConfiguration(), 0.2, True, managed, ignored, True
    )


def test_certificates(tmp_path: Any) -> None:
    """PEM comes from data or a file; enableHTTPS without a CA believes whoever answers."""
    file = tmp_path / "ca.pem"
    file.write_bytes(PEM)
    assert one(enableHTTPS=True).tls == TLSConfiguration(insecure=True)
    assert one(enableHTTPS=True, tlsConfig={"caFile": str(file)}).tls == TLSConfiguration(ca=PEM)
    told = {"caData": DATA, "certData": DATA, "keyFile": str(file), "serverName": "me"}
    assert one(tlsConfig=told).tls == TLSConfiguration(False, "me", PEM, PEM, PEM)


def test_those_that_may_fail_come_last() -> None:
    """In their order otherwise."""
    listed = [{"urlPrefix": f"http://{i}", "ignorable": i % 2 == 0} for i in range(4)]
    assert [each.url[-1] for each in parse_extenders(listed)] == ["1", "3", "0", "2"]


def test_ignored_resources() -> None:
    """What extenders take care of, NodeResourcesFit of every profile ignores, whatever it was told to."""
    told = {"name": "NodeResourcesFit", "args": {"ignoredResources": ["a.io/x"]}}
    managed = [{"name": "b.io/y", "ignoredByScheduler": True}, {"name": "b.io/z"}]
    extenders = [{"urlPrefix": URL, "managedResources": managed}]
    profiles = [{"pluginConfig": [told]}, {"schedulerName": "other"}]
    parsed = parse_configuration({**HEAD, "profiles": profiles, "extenders": extenders})
    assert [p.args["NodeResourcesFit"]["ignoredResources"] for p in parsed.profiles] == [["b.io/y"], ["b.io/y"]]


@pytest.mark.parametrize(
    ("listed", "error"),
    [
        ({"urlPrefix": URL}, "extenders: must be a list"),
        (["x"], r"extenders\[0\]: must be a mapping"),
        ([{"urlPrefix": URL, "filter": "f"}], r'unknown field "extenders\[0\].filter"'),
        ([{}], r"extenders\[0\].urlPrefix: must be a URL of http or https, not ''"),
        ([{"urlPrefix": "ftp://x"}], "must be a URL of http or https, not 'ftp://x'"),
        ([{"urlPrefix": URL, "filterVerb": 1}], r"extenders\[0\].filterVerb: must be text, not 1"),
        (
            [{"urlPrefix": URL, "prioritizeVerb": "p"}],
            r"\[0\].weight: must have a positive weight applied to it, not 0",
        ),
        (
            [{"urlPrefix": URL, "prioritizeVerb": "p", "weight": -1}],
            "must have a positive weight applied to it, not -1",
        ),
        ([{"urlPrefix": URL, "bindVerb": "b"}] * 2, "only one extender can implement bind, found 2"),
        ([{"urlPrefix": URL, "httpTimeout": "-1s"}], r"extenders\[0\].httpTimeout: must not be negative"),
        ([{"urlPrefix": URL, "ignorable": "yes"}], r"extenders\[0\].ignorable: must be true or false"),
        ([{"urlPrefix": URL, "managedResources": [{"name": "cpu"}]}], "'cpu' is an invalid extended resource name"),
        (
            [{"urlPrefix": URL, "managedResources": [{"name": "a.io/b"}]}] * 2,
            r"extenders\[1\].managedResources\[0\].name: duplicate extender managed resource name 'a.io/b'",
        ),
        (
            [{"urlPrefix": URL, "tlsConfig": {"insecure": True, "caData": DATA}}],
            "specifying a root certificates file with the insecure flag is not allowed",
        ),
        ([{"urlPrefix": URL, "tlsConfig": {"certData": DATA}}], "certificate and key are needed together"),
        ([{"urlPrefix": URL, "tlsConfig": {"caData": "%"}}], r"extenders\[0\].tlsConfig.caData: "),
        ([{"urlPrefix": URL, "tlsConfig": {"caFile": "/nowhere/ca"}}], "tlsConfig.caFile: cannot be read"),
    ],
)
def test_refused(listed: Any, error: str) -> None:
    """What is unknown or wrong is named, with upstream's words where it has some."""
    with pytest.raises(ConfigurationError, match=error):
        parse_configuration({**HEAD, "extenders": listed})


def test_certificates_that_are_none() -> None:
    """They are refused before anybody is asked."""
    (told,) = parse_extenders([{"urlPrefix": "https://x", "tlsConfig": {"caData": DATA}}])
    with pytest.raises(ConfigurationError, match="extender https://x: unusable certificate"):
        Extender(told, RealClock())


def test_nobody() -> None:
    """Without extenders nobody has a say."""
    assert isinstance(outsiders(parse_configuration(HEAD).extenders, RealClock()), Nobody)
