"""Kubeconfig files: read as kubectl reads them, written without harm to what is there."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from minik8s.client.kubeconfig import (
    ClusterCredentials,
    KubeconfigError,
    default_kubeconfig,
    load_kubeconfig,
    remove_context,
    write_kubeconfig,
)

OURS = ClusterCredentials(name="minik8s", server="https://127.0.0.1:6443", ca=b"CA", token="secret")
THEIRS = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {"colors": True},
    "clusters": [{"name": "prod", "cluster": {"server": "https://prod:443/", "certificate-authority": "ca.pem"}}],
    "users": [{"name": "me", "user": {"client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"}}],
    "contexts": [{"name": "work", "context": {"cluster": "prod", "user": "me", "namespace": "team"}}],
    "current-context": "work",
}


def save(path: Path, config: Any) -> Path:
    path.write_text(yaml.safe_dump(config), "utf-8")
    return path


def test_contexts(tmp_path: Path) -> None:
    """The current context or the one asked for; files are looked for beside the kubeconfig."""
    (tmp_path / "ca.pem").write_bytes(b"THEIR CA")
    path = save(tmp_path / "config", THEIRS)
    config = load_kubeconfig(path)
    assert (config.server, config.namespace) == ("https://prod:443", "team")
    assert (config.ca, config.certificate, config.key) == (b"THEIR CA", b"CERT", b"KEY")
    write_kubeconfig(path, OURS)
    assert load_kubeconfig(path).token == "secret"
    assert load_kubeconfig(path, "work").server == "https://prod:443"


def test_several_files(tmp_path: Path) -> None:
    """Of the files in $KUBECONFIG whoever says something first wins; those that do not exist are passed over."""
    first = save(tmp_path / "a", {"contexts": [{"name": "work", "context": {"cluster": "prod", "namespace": "mine"}}]})
    (tmp_path / "ca.pem").write_bytes(b"")
    second = save(tmp_path / "b", THEIRS)
    env = {"KUBECONFIG": f"{tmp_path / 'none'}:{first}:{second}"}
    config = load_kubeconfig(env=env)
    assert (config.server, config.namespace, config.certificate) == ("https://prod:443", "mine", b"")
    assert default_kubeconfig(env) == tmp_path / "none"
    assert default_kubeconfig({"HOME": "/home/x"}) == Path("/home/x/.kube/config")


def test_in_cluster(tmp_path: Path) -> None:
    """Without any file a pod's service account is used; its token is read when it is needed, for it changes."""
    folder = tmp_path / "var/run/secrets/kubernetes.io/serviceaccount"
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(b"CA")
    (folder / "namespace").write_text("ns")
    env = {"HOME": str(tmp_path), "MINIK8S_ROOT": str(tmp_path), "KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    config = load_kubeconfig(env=env)
    assert (config.server, config.ca, config.namespace) == ("https://10.96.0.1:443", b"CA", "ns")
    assert config.token_file == folder / "token"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": [{"name": "me", "user": {"exec": {"command": "aws"}}}]}, 'the plugin "aws", which is not run'),
        ({"users": [{"name": "me", "user": {"auth-provider": {"name": "gcp"}}}]}, "auth-provider"),
        ({"users": []}, 'user "me" does not exist'),
        ({"clusters": [{"name": "prod", "cluster": {}}]}, 'cluster "prod" has no server'),
        ({"current-context": ""}, "no kubeconfig names a current context"),
        ({"contexts": "x"}, "contexts is not a list"),
        ({"users": [{"name": "me", "user": {"client-key-data": "%%"}}]}, "client-key"),
        ({}, "ca.pem"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    """Errors say what is wrong in words."""
    path = save(tmp_path / "config", {**THEIRS, **change})
    if change:
        (tmp_path / "ca.pem").write_bytes(b"")
    with pytest.raises(KubeconfigError, match=message):
        load_kubeconfig(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    """Neither a missing file nor one with something else in it is taken for a kubeconfig, and it is not overwritten."""
    with pytest.raises(KubeconfigError, match="no such file"):
        load_kubeconfig(tmp_path / "none")
    path = tmp_path / "config"
    path.write_text("- just\n- a list\n")
    with pytest.raises(KubeconfigError, match="not a kubeconfig"):
        write_kubeconfig(path, OURS)
    assert path.read_text() == "- just\n- a list\n"


def test_write_and_remove(tmp_path: Path) -> None:
    """A context comes and goes, and the file is then what it was, also behind a link and with its permissions."""
    real = save(tmp_path / "real", THEIRS)
    real.chmod(0o640)
    path = tmp_path / "link"
    path.symlink_to(real)
    assert write_kubeconfig(path, OURS, context="dev") == "work"
    config = yaml.safe_load(path.read_text())
    assert config["current-context"] == "dev"
    assert [entry["name"] for entry in config["contexts"]] == ["work", "dev"]
    assert config["clusters"][1]["cluster"]["certificate-authority-data"] == base64.b64encode(b"CA").decode()
    assert write_kubeconfig(path, OURS, context="dev") == "dev"
    assert len(yaml.safe_load(path.read_text())["users"]) == 2
    remove_context(path, "dev", restore="work")
    assert yaml.safe_load(path.read_text()) == THEIRS
    assert path.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "real"]


def test_removing_leaves_another_choice_alone(tmp_path: Path) -> None:
    """If the user has chosen another context meanwhile it stays current."""
    path = save(tmp_path / "config", THEIRS)
    previous = write_kubeconfig(path, OURS)
    save(path, {**yaml.safe_load(path.read_text()), "current-context": "elsewhere"})
    remove_context(path, "minik8s", restore=previous)
    assert yaml.safe_load(path.read_text())["current-context"] == "elsewhere"
    remove_context(tmp_path / "none", "minik8s")
    assert not (tmp_path / "none").exists()


def test_new_files_are_private(tmp_path: Path) -> None:
    """A new file holds a token, so nobody else may read it; plain HTTP is marked for clients that refuse it."""
    path = tmp_path / "deep" / "config"
    write_kubeconfig(path, ClusterCredentials(name="c", server="http://127.0.0.1:1"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(path.read_text())["clusters"][0]["cluster"]["insecure-skip-tls-verify"] is True
    assert load_kubeconfig(path).insecure
