"""`extenders` of a KubeSchedulerConfiguration, with upstream's fields, defaults and limits (`validateExtenders`)."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import attrs

from minik8s.api.validation.resources import is_extended
from minik8s.machinery.meta import Doc
from minik8s.scheduler.fields import ConfigurationError, duration, fields, number, sequence, text, truth

DEFAULT_TIMEOUT = 5.0
"""Seconds; DefaultExtenderTimeout."""
_FIELDS = {
    "urlPrefix", "filterVerb", "preemptVerb", "prioritizeVerb", "weight", "bindVerb", "enableHTTPS", "tlsConfig",
    "httpTimeout", "nodeCacheCapable", "managedResources", "ignorable",
}  # fmt: skip
_TLS = {"insecure", "serverName", "certFile", "keyFile", "caFile", "certData", "keyData", "caData"}


@attrs.frozen
class TLSConfiguration:
    """How an extender proves itself, and we to it. PEM as bytes."""

    insecure: bool = False
    server_name: str = ""
    certificate: bytes = b""
    key: bytes = b""
    ca: bytes = b""


@attrs.frozen
class ExtenderConfiguration:
    """One extender. An empty verb is not asked for. `managed` are the resources that it is interested in, None for all
    pods; `ignored` those of them that the scheduler itself shall not look at. `timeout` in seconds."""

    url: str
    filter: str = ""
    preempt: str = ""
    prioritize: str = ""
    bind: str = ""
    weight: int = 0
    tls: TLSConfiguration = TLSConfiguration()
    timeout: float = DEFAULT_TIMEOUT
    node_cache_capable: bool = False
    managed: frozenset[str] | None = None
    ignored: frozenset[str] = frozenset()
    ignorable: bool = False


def parse_extenders(listed: object) -> tuple[ExtenderConfiguration, ...]:
    """Those that may fail come last, as upstream has them. Raises ConfigurationError."""
    managed: set[str] = set()
    found = [_extender(doc, f"extenders[{i}]", managed) for i, doc in enumerate(sequence(listed, "extenders"))]
    binders = sum(bool(one.bind) for one in found)
    if binders > 1:
        raise ConfigurationError(f"extenders: only one extender can implement bind, found {binders}")
    return tuple(sorted(found, key=lambda one: one.ignorable))


def _extender(document: object, path: str, managed: set[str]) -> ExtenderConfiguration:
    doc = fields(document, path, _FIELDS)
    url = text(doc, "urlPrefix", path)
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{path}.urlPrefix: must be a URL of http or https, not {url!r}")
    prioritize, weight = (
        text(doc, "prioritizeVerb", path),
        number(doc, "weight", path, 0, least=-(2**63), most=2**63 - 1),
    )
    if prioritize and weight <= 0:
        raise ConfigurationError(f"{path}.weight: must have a positive weight applied to it, not {weight}")
    names, ignored = _resources(doc, path, managed)
    timeout = duration(doc, "httpTimeout", path, 0)
    if timeout < 0:
        raise ConfigurationError(f"{path}.httpTimeout: must not be negative")
    return ExtenderConfiguration(
        url,
        text(doc, "filterVerb", path),
        text(doc, "preemptVerb", path),
        prioritize,
        text(doc, "bindVerb", path),
        weight,
        _tls(doc, path),
        timeout or DEFAULT_TIMEOUT,
        truth(doc, "nodeCacheCapable", path),
        names,
        ignored,
        truth(doc, "ignorable", path),
    )


def _resources(doc: Doc, path: str, managed: set[str]) -> tuple[frozenset[str] | None, frozenset[str]]:
    """Managed and ignored resources; `managed` are those of all extenders so far."""
    names, ignored = [], set()
    for i, entry in enumerate(sequence(doc.get("managedResources"), f"{path}.managedResources")):
        here = f"{path}.managedResources[{i}]"
        one = fields(entry, here, {"name", "ignoredByScheduler"})
        name = text(one, "name", here)
        if not is_extended(name):
            raise ConfigurationError(f"{here}.name: {name!r} is an invalid extended resource name")
        if name in managed:
            raise ConfigurationError(f"{here}.name: duplicate extender managed resource name {name!r}")
        managed.add(name)
        names.append(name)
        if truth(one, "ignoredByScheduler", here):
            ignored.add(name)
    return frozenset(names) or None, frozenset(ignored)


def _tls(doc: Doc, path: str) -> TLSConfiguration:
    """Without a CA, enableHTTPS means that whoever answers is believed."""
    here = f"{path}.tlsConfig"
    told = fields(doc.get("tlsConfig") or {}, here, _TLS)
    insecure, ca = truth(told, "insecure", here), _pem(told, "ca", here)
    if insecure and ca:
        raise ConfigurationError(f"{here}: specifying a root certificates file with the insecure flag is not allowed")
    certificate, key = _pem(told, "cert", here), _pem(told, "key", here)
    if bool(certificate) != bool(key):
        raise ConfigurationError(f"{here}: certificate and key are needed together")
    insecure = insecure or (truth(doc, "enableHTTPS", path) and not ca)
    return TLSConfiguration(insecure, text(told, "serverName", here), certificate, key, ca)


def _pem(told: Doc, what: str, path: str) -> bytes:
    """From `<what>Data`, in base64, or the file that `<what>File` names."""
    data: Any = told.get(f"{what}Data")
    try:
        if data:
            return base64.b64decode(text(told, f"{what}Data", path), validate=True)
        file = text(told, f"{what}File", path)
        return Path(file).read_bytes() if file else b""
    except binascii.Error as error:
        raise ConfigurationError(f"{path}.{what}Data: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"{path}.{what}File: cannot be read: {error}") from None
