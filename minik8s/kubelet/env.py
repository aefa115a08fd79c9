"""A container's environment: service links, then envFrom, then env, later over earlier.

Follows the kubelet's makeEnvironmentVariables and pkg/kubelet/envvars. All objects are handed in, so that the rules can
be tested as a table; what is missing or misspelt raises `ConfigError`, whose text is the reason given with
CreateContainerConfigError.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

import attrs

from minik8s.kubelet.downward import FieldError, Surroundings, field_value, resource_value
from minik8s.kubelet.expansion import expand
from minik8s.machinery.meta import Doc, name_of, namespace_of
from minik8s.machinery.remembering import remembered

MASTER_SERVICE = "kubernetes"
"""Linked into every pod from the namespace `default`, whatever enableServiceLinks says."""


class ConfigError(Exception):
    """Why a container's configuration cannot be made."""


@attrs.frozen
class References:
    """Names of the objects that a container's environment is made from, in its pod's namespace."""

    config_maps: frozenset[str]
    secrets: frozenset[str]


@attrs.frozen
class EnvSources:
    """The objects behind a container's environment; None stands for one that does not exist.

    `files` are the env files of fileKeyRef, by volume name and path. `services` are those of the pod's namespace and
    the master service.
    """

    config_maps: Mapping[str, Doc | None] = attrs.field(factory=dict)
    secrets: Mapping[str, Doc | None] = attrs.field(factory=dict)
    services: tuple[Doc, ...] = ()
    files: Mapping[tuple[str, str], str] = attrs.field(factory=dict)
    surroundings: Surroundings = attrs.field(factory=Surroundings)


@remembered
def references(container: Doc) -> References:
    """Which ConfigMaps and Secrets have to be at hand for `environment`."""
    config_maps, secrets = set(), set()
    for source in container.get("envFrom") or ():
        if ref := source.get("configMapRef"):
            config_maps.add(ref.get("name", ""))
        if ref := source.get("secretRef"):
            secrets.add(ref.get("name", ""))
    for variable in container.get("env") or ():
        value_from = variable.get("valueFrom") or {}
        if ref := value_from.get("configMapKeyRef"):
            config_maps.add(ref.get("name", ""))
        if ref := value_from.get("secretKeyRef"):
            secrets.add(ref.get("name", ""))
    return References(frozenset(config_maps), frozenset(secrets))


def environment(pod: Doc, container: Doc, sources: EnvSources) -> dict[str, str]:
    """Every variable that the pod gives the container (the image's are lower still). Raises ConfigError."""
    links = service_links(pod, sources.services)
    env = {}
    for source in container.get("envFrom") or ():
        env.update(_env_from(pod, source, sources))
    for variable in container.get("env") or ():
        if variable.get("value"):
            env[variable["name"]] = expand(variable["value"], {**links, **env})
            continue
        value = _value_from(pod, container, variable.get("valueFrom"), sources)
        if value is not None:
            env[variable["name"]] = value
    return {**links, **env}


def service_links(pod: Doc, services: Iterable[Doc]) -> dict[str, str]:
    """The docker-style variables of the services that the pod is linked to."""
    chosen: dict[str, Doc] = {}
    namespace = namespace_of(pod)
    linked = pod["spec"].get("enableServiceLinks", True)
    for service in services:
        if service["spec"].get("clusterIP") in (None, "", "None"):
            continue
        name = name_of(service)
        if linked and namespace_of(service) == namespace:
            chosen[name] = service
        elif name == MASTER_SERVICE and namespace_of(service) == "default":
            chosen.setdefault(name, service)
    env: dict[str, str] = {}
    for name in sorted(chosen):
        env.update(_service_variables(chosen[name]))
    return env


def parse_env_file(text: str) -> dict[str, str]:
    """`KEY=VALUE` lines; blank lines and `#` comments are skipped, quotes around a value are dropped."""
    env = {}
    for line in text.splitlines():
        stripped = line.strip()
        key, equals, value = stripped.partition("=")
        if not stripped.startswith("#") and equals:
            value = value.strip()
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            env[key.strip()] = value[1:-1] if quoted else value
    return env


def secret_text(secret: Doc, key: str) -> str:
    """One key of a Secret as text; bytes that are no UTF-8 survive as surrogate escapes."""
    return base64.b64decode(secret["data"][key] or "").decode(errors="surrogateescape")


def _env_from(pod: Doc, source: Doc, sources: EnvSources) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    if ref := source.get("configMapRef"):
        config_map = _object("configmap", ref, sources.config_maps)
        data = (config_map or {}).get("data") or {}
        return {prefix + key: value for key, value in data.items()}
    if ref := source.get("secretRef"):
        secret = _object("secret", ref, sources.secrets)
        return {prefix + key: secret_text(secret, key) for key in secret.get("data") or {}} if secret else {}
    return {}


def _value_from(pod: Doc, container: Doc, source: Doc | None, sources: EnvSources) -> str | None:
    """The value, "" for a variable without one, None when an optional source lacks it."""
    if not source:
        return ""
    try:
        if ref := source.get("fieldRef"):
            return field_value(pod, ref["fieldPath"], sources.surroundings)
        if ref := source.get("resourceFieldRef"):
            return resource_value(pod, ref, container["name"], sources.surroundings)
    except FieldError as error:
        raise ConfigError(str(error)) from error
    if ref := source.get("configMapKeyRef"):
        config_map = _object("configmap", ref, sources.config_maps)
        data = (config_map or {}).get("data") or {}
        return _key(pod, ref, data.get(ref["key"]), "ConfigMap")
    if ref := source.get("secretKeyRef"):
        secret = _object("secret", ref, sources.secrets)
        found = secret is not None and ref["key"] in (secret.get("data") or {})
        return _key(pod, ref, secret_text(secret, ref["key"]) if secret and found else None, "Secret")
    return _file_key(source.get("fileKeyRef") or {}, sources)


def _object(kind: str, ref: Doc, objects: Mapping[str, Doc | None]) -> Doc | None:
    found = objects.get(ref.get("name", ""))
    if found is None and not ref.get("optional"):
        raise ConfigError(f'{kind} "{ref.get("name", "")}" not found')
    return found


def _key(pod: Doc, ref: Doc, value: str | None, kind: str) -> str | None:
    if value is None and not ref.get("optional"):
        raise ConfigError(f"couldn't find key {ref['key']} in {kind} {namespace_of(pod)}/{ref.get('name', '')}")
    return value


def _file_key(ref: Doc, sources: EnvSources) -> str | None:
    text = sources.files.get((ref.get("volumeName", ""), ref.get("path", "")))
    value = parse_env_file(text).get(ref["key"]) if text is not None else None
    if value is None and not ref.get("optional"):
        what = "environment variable key" if text is not None else "env file"
        raise ConfigError(f'{what} "{ref.get("key" if text is not None else "path", "")}" not found')
    return value


@remembered
def _service_variables(service: Doc) -> dict[str, str]:
    prefix = name_of(service).upper().replace("-", "_")
    address = service["spec"]["clusterIP"]
    host = f"[{address}]" if ":" in address else address
    env = {f"{prefix}_SERVICE_HOST": address}
    for index, port in enumerate(service["spec"].get("ports") or ()):
        number, protocol = str(port["port"]), port.get("protocol") or "TCP"
        url = f"{protocol.lower()}://{host}:{number}"
        if index == 0:
            env[f"{prefix}_SERVICE_PORT"] = number
            env[f"{prefix}_PORT"] = url
        if port.get("name"):
            env[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = number
        link = f"{prefix}_PORT_{number}_{protocol.upper()}"
        env |= {
            link: url,
            f"{link}_PROTO": protocol.lower(),
            f"{link}_PORT": number,
            f"{link}_ADDR": address,
        }
    return env
