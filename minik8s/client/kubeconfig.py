"""Kubeconfig files: which server to talk to and as whom, read and written as client-go does.

Reading follows kubectl: a file that is named, else every file of $KUBECONFIG (whoever sets a value first wins), else
`~/.kube/config`, else the service account of the pod we run in. Writing merges one context into what is there,
atomically, because the file is the user's. Credential plugins are refused: they would run programs.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from minik8s.machinery.meta import Doc, Obj

SECTIONS = (("clusters", "cluster"), ("users", "user"), ("contexts", "context"))
SERVICE_ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount"


class KubeconfigError(ValueError):
    """The configuration cannot be read, or asks for what is not supported."""


@attrs.frozen(kw_only=True)
class ClusterCredentials:
    """What a kubeconfig entry says: where a cluster is, and a bearer token or a client certificate with its key.

    `ca`, `certificate` and `key` are PEM; `ca` is empty for plain HTTP. `impersonate` is (user, groups) to act as.
    """

    name: str
    server: str
    ca: bytes = b""
    token: str = ""
    certificate: bytes = b""
    key: bytes = b""
    impersonate: tuple[str, tuple[str, ...]] | None = None

    @property
    def user(self) -> Obj:
        """The entry under `users`."""
        user: Obj = {"token": self.token} if self.token else {}
        if self.certificate:
            user["client-certificate-data"] = base64.b64encode(self.certificate).decode()
            user["client-key-data"] = base64.b64encode(self.key).decode()
        if self.impersonate is not None:
            user["as"], groups = self.impersonate
            if groups:
                user["as-groups"] = list(groups)
        return user


@attrs.frozen(kw_only=True)
class ClientConfig:
    """How to reach one server as one user. PEM as bytes; `token_file` is read again whenever a request is made."""

    server: str
    ca: bytes = b""
    insecure: bool = False
    server_name: str = ""
    proxy: str = ""
    token: str = ""
    token_file: Path | None = None
    username: str = ""
    password: str = ""
    certificate: bytes = b""
    key: bytes = b""
    namespace: str = "default"


def default_kubeconfig(env: Mapping[str, str] = os.environ) -> Path:
    """The file that is written to: the first of $KUBECONFIG, else ~/.kube/config."""
    named = _env_paths(env)
    return named[0] if named else Path(env.get("HOME") or Path.home()) / ".kube" / "config"


def load_kubeconfig(
    path: Path | None = None, context: str = "", *, env: Mapping[str, str] = os.environ
) -> ClientConfig:
    """The configuration of a context (the current one by default). Raises KubeconfigError."""
    if path is not None:
        if not path.exists():
            raise KubeconfigError(f"{path}: no such file")
        files = [path]
    else:
        files = [file for file in _env_paths(env) or [default_kubeconfig(env)] if file.exists()]
    if not files and not context and env.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster_config(env)
    return _resolve(_merge(files), context)


def in_cluster_config(env: Mapping[str, str] = os.environ) -> ClientConfig:
    """The configuration of a process in a pod. Raises KubeconfigError where there is no service account."""
    folder = Path(env.get("MINIK8S_ROOT") or "/") / SERVICE_ACCOUNT
    host, port = env.get("KUBERNETES_SERVICE_HOST", ""), env.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        ca, namespace = (folder / "ca.crt").read_bytes(), (folder / "namespace").read_text("utf-8")
    except OSError as error:
        raise KubeconfigError(f"not in a cluster: {error}") from None
    shown = f"[{host}]" if ":" in host else host
    return ClientConfig(server=f"https://{shown}:{port}", ca=ca, token_file=folder / "token", namespace=namespace)


def kubeconfig_document(credentials: ClusterCredentials, context: str = "") -> Obj:
    """A kubeconfig of one context, named after the cluster unless told otherwise."""
    name = context or credentials.name
    cluster: Obj = {"server": credentials.server}
    if credentials.ca:
        cluster["certificate-authority-data"] = base64.b64encode(credentials.ca).decode()
    elif credentials.server.startswith("http://"):
        cluster["insecure-skip-tls-verify"] = True  # the JavaScript client refuses plain HTTP without it
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": credentials.user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def write_kubeconfig(path: Path, credentials: ClusterCredentials, *, context: str = "") -> str:
    """Adds the context, or replaces the one of that name, and makes it current; everything else in the file stays.

    Answers the context that was current before. Raises KubeconfigError for a file that is no kubeconfig.
    """
    new = kubeconfig_document(credentials, context)
    old = _read(path) if path.exists() else {}
    merged = {**new, **old}
    for section, _ in SECTIONS:
        kept = [entry for entry in old.get(section) or () if entry.get("name") != new["current-context"]]
        merged[section] = kept + new[section]
    merged["current-context"] = new["current-context"]
    _replace(path, merged)
    return old.get("current-context") or ""


def remove_context(path: Path, context: str, *, restore: str = "") -> None:
    """Takes out what `write_kubeconfig` put in; `restore` becomes current again if the removed one still was."""
    if not path.exists():
        return
    config = dict(_read(path))
    for section, _ in SECTIONS:
        config[section] = [entry for entry in config.get(section) or () if entry.get("name") != context]
    if config.get("current-context") == context:
        known = {entry["name"] for entry in config["contexts"]}
        config["current-context"] = restore if restore in known else ""
    _replace(path, config)


def _env_paths(env: Mapping[str, str]) -> list[Path]:
    return [Path(part) for part in env.get("KUBECONFIG", "").split(os.pathsep) if part]


def _read(path: Path) -> Obj:
    import yaml  # here, because most clusters never see a kubeconfig

    try:
        config = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise KubeconfigError(f"{path}: {error}") from None
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise KubeconfigError(f"{path}: not a kubeconfig")
    for section, _ in SECTIONS:
        entries = config.get(section) or []
        if not isinstance(entries, list) or any(not isinstance(e, dict) or "name" not in e for e in entries):
            raise KubeconfigError(f"{path}: {section} is not a list of named entries")
    return config


def _replace(path: Path, config: Doc) -> None:
    """Writes beside the file and renames, so that a reader sees the old or the new one, and links stay links."""
    import yaml

    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yaml.safe_dump(dict(config), file, sort_keys=False)
        if target.exists():
            Path(temporary).chmod(target.stat().st_mode & 0o777)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _merge(files: list[Path]) -> dict[str, Any]:
    """section -> name -> (entry, folder of its file); the first file that names an entry wins."""
    merged: dict[str, Any] = {section: {} for section, _ in SECTIONS}
    merged["current-context"] = ""
    for file in files:
        config = _read(file)
        merged["current-context"] = merged["current-context"] or config.get("current-context") or ""
        for section, key in SECTIONS:
            for entry in config.get(section) or ():
                merged[section].setdefault(entry["name"], (entry.get(key) or {}, file.parent))
    return merged


def _resolve(merged: Mapping[str, Any], wanted: str) -> ClientConfig:
    name = wanted or merged["current-context"]
    if not name:
        raise KubeconfigError("no kubeconfig names a current context")
    context, _ = _entry(merged, "contexts", name)
    cluster, cluster_folder = _entry(merged, "clusters", context.get("cluster", ""))
    user_name = context.get("user", "")
    user, user_folder = _entry(merged, "users", user_name) if user_name else ({}, Path())
    _refuse_plugins(user_name, user)
    if not cluster.get("server"):
        raise KubeconfigError(f'cluster "{context.get("cluster", "")}" has no server')
    token_file = user.get("tokenFile")
    return ClientConfig(
        server=cluster["server"].rstrip("/"),
        ca=_pem(cluster, "certificate-authority", cluster_folder),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=cluster.get("tls-server-name", ""),
        proxy=cluster.get("proxy-url", ""),
        token=user.get("token", ""),
        token_file=user_folder / token_file if token_file and not user.get("token") else None,
        username=user.get("username", ""),
        password=user.get("password", ""),
        certificate=_pem(user, "client-certificate", user_folder),
        key=_pem(user, "client-key", user_folder),
        namespace=context.get("namespace") or "default",
    )


def _entry(merged: Mapping[str, Any], section: str, name: str) -> tuple[Obj, Path]:
    try:
        entry: tuple[Obj, Path] = merged[section][name]
    except KeyError:
        raise KubeconfigError(f'{section.removesuffix("s")} "{name}" does not exist in the kubeconfig') from None
    return entry


def _refuse_plugins(name: str, user: Doc) -> None:
    if plugin := user.get("exec"):
        command = plugin.get("command", "") if isinstance(plugin, dict) else ""
        raise KubeconfigError(
            f'user "{name}" gets its credentials from the plugin "{command}", which is not run; '
            "use a context with a token or a client certificate"
        )
    if "auth-provider" in user:
        raise KubeconfigError(f'user "{name}" uses an auth-provider, which Kubernetes removed in 1.26')


def _pem(entry: Doc, key: str, folder: Path) -> bytes:
    """Inline data wins over a file; files are relative to the kubeconfig's folder."""
    try:
        if data := entry.get(f"{key}-data"):
            return base64.b64decode(data, validate=True)
        if file := entry.get(key):
            return (folder / file).read_bytes()
    except (OSError, binascii.Error) as error:
        raise KubeconfigError(f"{key}: {error}") from None
    return b""
