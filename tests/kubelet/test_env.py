"""A container's environment as a table."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from minik8s.kubelet.downward import Surroundings
from minik8s.kubelet.env import ConfigError, EnvSources, environment, parse_env_file, references, service_links

POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "web"}, "annotations": {}},
    "spec": {
        "nodeName": "n1",
        "serviceAccountName": "sa",
        "containers": [{"name": "c", "resources": {"limits": {"cpu": "1500m"}, "requests": {"memory": "64Mi"}}}],
    },
}
SOURCES = EnvSources(
    config_maps={"m": {"data": {"K": "v", "a.b": "dotted"}}, "gone": None},
    secrets={"s": {"data": {"P": base64.b64encode(b"secret").decode()}}, "gone": None},
    files={("vol", "env"): "A=1\n# no\nB='two words'\n"},
    surroundings=Surroundings("10.0.0.1", ("10.1.0.5",), {"memory": "1Gi"}),
)


def env_of(*variables: dict[str, Any], env_from: Any = (), pod: Any = POD, sources: EnvSources = SOURCES) -> Any:
    container = {"name": "c", "env": list(variables), "envFrom": list(env_from)}
    return environment(pod, container, sources)


def ref(kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {kind: fields}}


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ({"name": "X", "value": "plain"}, "plain"),
        ({"name": "X"}, ""),
        (ref("configMapKeyRef", name="m", key="K"), "v"),
        (ref("secretKeyRef", name="s", key="P"), "secret"),
        (ref("fieldRef", fieldPath="metadata.name"), "p"),
        (ref("fieldRef", fieldPath="metadata.namespace"), "ns"),
        (ref("fieldRef", fieldPath="metadata.uid"), "u"),
        (ref("fieldRef", fieldPath="metadata.labels['app']"), "web"),
        (ref("fieldRef", fieldPath="metadata.annotations['none']"), ""),
        (ref("fieldRef", fieldPath="spec.nodeName"), "n1"),
        (ref("fieldRef", fieldPath="spec.serviceAccountName"), "sa"),
        (ref("fieldRef", fieldPath="status.hostIP"), "10.0.0.1"),
        (ref("fieldRef", fieldPath="status.podIP"), "10.1.0.5"),
        (ref("fieldRef", fieldPath="status.podIPs"), "10.1.0.5"),
        (ref("resourceFieldRef", resource="limits.cpu"), "2"),
        (ref("resourceFieldRef", resource="limits.cpu", divisor="1m"), "1500"),
        (ref("resourceFieldRef", resource="limits.memory"), str(1 << 30)),
        (ref("resourceFieldRef", resource="requests.memory", divisor="1Mi"), "64"),
        (ref("resourceFieldRef", resource="requests.cpu"), "0"),
        (ref("fileKeyRef", volumeName="vol", path="env", key="B"), "two words"),
    ],
)
def test_sources_of_a_value(variable: Any, expected: str) -> None:
    """Every kind of source gives its value, resources rounded up to the divisor."""
    assert env_of(variable)["X"] == expected


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        (ref("configMapKeyRef", name="gone", key="K"), 'configmap "gone" not found'),
        (ref("secretKeyRef", name="gone", key="K"), 'secret "gone" not found'),
        (ref("configMapKeyRef", name="m", key="none"), "couldn't find key none in ConfigMap ns/m"),
        (ref("secretKeyRef", name="s", key="none"), "couldn't find key none in Secret ns/s"),
        (ref("fieldRef", fieldPath="spec.nope"), "unsupported fieldPath: spec.nope"),
    ],
)
def test_what_is_missing(variable: Any, text: str) -> None:
    """A missing object or key is a configuration error with the kubelet's text, unless it is optional."""
    with pytest.raises(ConfigError) as caught:
        env_of(variable)
    assert str(caught.value) == text
    [(kind, fields)] = variable["valueFrom"].items()
    if kind.endswith("KeyRef"):
        assert "X" not in env_of(ref(kind, **fields, optional=True))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(A)", "x1y1"),
        ("$(LATER)", "$(LATER)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A $", "$A $"),
        ("$(A", "$(A"),
        ("$(K)", "v"),
        ("$(KUBERNETES_SERVICE_HOST)", "10.96.0.1"),
    ],
)
def test_references_between_variables(value: str, expected: str) -> None:
    """`$(VAR)` sees what was defined before it, envFrom and services; the unknown stays and `$$` escapes."""
    services = ({"metadata": {"name": "kubernetes", "namespace": "default"}, "spec": {"clusterIP": "10.96.0.1"}},)
    sources = EnvSources(config_maps=SOURCES.config_maps, services=services)
    variables = ({"name": "A", "value": "1"}, {"name": "X", "value": value}, {"name": "LATER", "value": "z"})
    assert env_of(*variables, env_from=[{"configMapRef": {"name": "m"}}], sources=sources)["X"] == expected


def test_precedence() -> None:
    """Later envFrom wins over earlier, env over envFrom, the last env over the first; a prefix is put before keys."""
    sources = EnvSources(config_maps={"a": {"data": {"K": "a", "Z": "a"}}, "b": {"data": {"K": "b"}}})
    env_from = [{"configMapRef": {"name": "a"}}, {"prefix": "P_", "configMapRef": {"name": "a"}}]
    env_from.append({"configMapRef": {"name": "b"}})
    env = env_of({"name": "Z", "value": "1"}, {"name": "Z", "value": "2"}, env_from=env_from, sources=sources)
    assert env == {"K": "b", "Z": "2", "P_K": "a", "P_Z": "a"}


def test_missing_env_from() -> None:
    """A missing object of envFrom is an error unless it is optional."""
    with pytest.raises(ConfigError, match='secret "gone" not found'):
        env_of(env_from=[{"secretRef": {"name": "gone"}}])
    assert env_of(env_from=[{"secretRef": {"name": "gone", "optional": True}}]) == {}


def service(name: str, namespace: str = "ns", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": "10.96.0.7", **spec}}


def test_service_links() -> None:
    """A service with a cluster IP gives the docker-style variables of its ports."""
    ports = [{"name": "my-http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    assert service_links(POD, [service("my-web", ports=ports)]) == {
        "MY_WEB_SERVICE_HOST": "10.96.0.7",
        "MY_WEB_SERVICE_PORT": "80",
        "MY_WEB_SERVICE_PORT_MY_HTTP": "80",
        "MY_WEB_SERVICE_PORT_DNS": "53",
        "MY_WEB_PORT": "tcp://10.96.0.7:80",
        "MY_WEB_PORT_80_TCP": "tcp://10.96.0.7:80",
        "MY_WEB_PORT_80_TCP_PROTO": "tcp",
        "MY_WEB_PORT_80_TCP_PORT": "80",
        "MY_WEB_PORT_80_TCP_ADDR": "10.96.0.7",
        "MY_WEB_PORT_53_UDP": "udp://10.96.0.7:53",
        "MY_WEB_PORT_53_UDP_PROTO": "udp",
        "MY_WEB_PORT_53_UDP_PORT": "53",
        "MY_WEB_PORT_53_UDP_ADDR": "10.96.0.7",
    }


@pytest.mark.parametrize(
    ("linked", "expected"),
    [(True, {"A_SERVICE_HOST", "KUBERNETES_SERVICE_HOST"}), (False, {"KUBERNETES_SERVICE_HOST"})],
)
def test_which_services_are_linked(linked: bool, expected: set[str]) -> None:
    """Without service links only the master service is left; headless and foreign services never count."""
    pod = {**POD, "spec": {**POD["spec"], "enableServiceLinks": linked}}
    services = [
        service("a"),
        service("headless", clusterIP="None"),
        service("external", clusterIP=""),
        service("foreign", "other"),
        service("kubernetes", "default"),
    ]
    assert set(service_links(pod, services)) == expected


def test_references_of_a_container() -> None:
    """What has to be fetched is named before the environment is made."""
    container = {
        "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}],
        "env": [ref("configMapKeyRef", name="c", key="k"), ref("secretKeyRef", name="d", key="k")],
    }
    found = references(container)
    assert (found.config_maps, found.secrets) == ({"a", "c"}, {"b", "d"})


def test_env_files() -> None:
    """Env files hold KEY=VALUE lines; comments and what is no assignment are skipped."""
    assert parse_env_file('A=1\n\n#B=2\nnothing\nC = "x y"\n') == {"A": "1", "C": "x y"}
