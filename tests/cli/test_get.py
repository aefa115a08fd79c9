"""`minik8s get` against a cluster."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from minik8s.api.resources import CONFIG_MAPS


def config_map(cli: Any, name: str, **labels: str) -> None:
    metadata = {"name": name, "labels": labels}
    cli.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, namespace=cli.namespace)


def names(output: str) -> list[str]:
    return [line.split()[0] for line in output.splitlines()[1:]]


def test_table_of_a_kind(minik8s: Any) -> None:
    """A table with the server's columns; one or several names, a selector or a field selector pick rows."""
    for name in ("one", "two", "three"):
        config_map(minik8s, name, app=name[0])
    assert minik8s("get", "cm").splitlines()[0].split() == ["NAME", "DATA", "AGE"]
    assert set(names(minik8s("get", "configmaps"))) >= {"one", "two", "three"}
    assert names(minik8s("get", "cm", "two", "one")) == ["two", "one"]
    assert names(minik8s("get", "cm/three")) == ["three"]
    assert names(minik8s("get", "cm", "-l", "app=t")) == ["three", "two"]
    assert names(minik8s("get", "cm", "--field-selector", "metadata.name=one")) == ["one"]
    assert minik8s("get", "cm", "one", "--no-headers").split()[0] == "one"
    assert minik8s("get", "cm", "one", "--show-labels").split()[-1] == "app=o"


def test_several_kinds(minik8s: Any) -> None:
    """Tables of several kinds stand one below the other and their names say the kind."""
    config_map(minik8s, "one")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "two"}}
    minik8s.cluster.apply(secret, namespace=minik8s.namespace)
    first, second = minik8s("get", "secret,cm").split("\n\n")
    assert "secret/two" in first
    assert "configmap/one" in second


def test_output_formats(minik8s: Any) -> None:
    """A single object is shown as itself, several as a List; managedFields are for machines."""
    config_map(minik8s, "one")
    single = json.loads(minik8s("get", "cm", "one", "-o", "json"))
    assert (single["kind"], single["metadata"]["name"]) == ("ConfigMap", "one")
    assert "managedFields" not in single["metadata"]
    several = yaml.safe_load(minik8s("get", "cm", "-o", "yaml"))
    assert several["kind"] == "List"
    assert {"apiVersion", "kind", "metadata"} <= set(several["items"][0])
    assert "configmap/one" in minik8s("get", "cm", "-o", "name").splitlines()


def test_all_namespaces_and_cluster_scope(minik8s: Any) -> None:
    """-A adds the namespace; nodes have none, whatever -n says; wide shows more columns."""
    config_map(minik8s, "one")
    rows = [line.split()[:2] for line in minik8s("get", "cm", "-A").splitlines()]
    assert rows[0] == ["NAMESPACE", "NAME"]
    assert [minik8s.namespace, "one"] in rows
    assert names(minik8s("get", "nodes")) == ["node-1"]
    assert "INTERNAL-IP" in minik8s("get", "no", "-o", "wide")


def test_nothing_there(minik8s: Any) -> None:
    """No objects is no error, and stdout stays empty."""
    result = minik8s.invoke("get", "pods,services")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"No resources found in {minik8s.namespace} namespace\n"
    assert json.loads(minik8s("get", "pods", "-o", "json"))["items"] == []


def test_missing_names(minik8s: Any) -> None:
    """What does not exist is an error, after what does has been shown."""
    config_map(minik8s, "one")
    result = minik8s.invoke("get", "cm", "nope", "one")
    assert result.exit_code == 1
    assert result.stderr == 'Error from server (NotFound): configmaps "nope" not found\n'
    assert names(result.stdout) == ["one"]
    assert minik8s("get", "cm", "nope", "--ignore-not-found") == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobs"], 'doesn\'t have a resource type "frobs"'),
        (["cm", "x", "-l", "a=b"], "selector cannot be used together with names"),
        (["cm", "x", "-A"], "by name across all namespaces"),
        (["cm,po", "-w"], "only watch a single kind"),
        (["cm", "x", "-w"], 'configmaps "x" not found'),
        (["cm", "-l", "a in"], "unable to parse requirement"),
        (["pods", "--field-selector", "spec.colour=red"], "field label not supported"),
    ],
)
def test_refusals(minik8s: Any, arguments: list[str], words: str) -> None:
    """What cannot be done is one line on stderr and exit code 1."""
    assert words in minik8s.fails("get", *arguments)


def test_nobody_answers(minik8s: Any, start: Callable[..., Any], tmp_path: Any) -> None:
    """Without a kubeconfig, or with one of a cluster that is gone, one line says so."""
    config = yaml.safe_load(minik8s.cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    gone = tmp_path / "gone"
    gone.write_text(yaml.safe_dump(config))
    assert "is the cluster running?" in minik8s.fails("get", "pods", "--kubeconfig", str(gone))
    assert "no such file" in minik8s.fails("get", "pods", "--kubeconfig", str(tmp_path / "none"))
    code, _, err = start("get", "pods").finish()
    assert (code, err) == (1, "Error: no kubeconfig names a current context\n")


@pytest.mark.parametrize(("form", "shown"), [("wide", "new"), ("name", "configmap/new"), ("yaml", "name: new")])
def test_watch(minik8s: Any, start: Callable[..., Any], form: str, shown: str) -> None:
    """-w goes on with changes, in columns or as documents, until Ctrl-C."""
    config_map(minik8s, "old")
    where = ("--kubeconfig", str(minik8s.cluster.kubeconfig), "-n", minik8s.namespace)
    watching = start("get", *where, "cm", "-w", "-o", form, "--field-selector", "metadata.name!=kube-root-ca.crt")
    watching.line("old")
    config_map(minik8s, "new")
    watching.line(shown)
    minik8s.cluster.run(minik8s.cluster.client.delete, CONFIG_MAPS, "new", namespace=minik8s.namespace)
    watching.line(shown)
    watching.send(signal.SIGINT)
    code, _, err = watching.finish()
    assert (code, err) == (130, "")
