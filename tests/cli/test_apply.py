"""`minik8s apply` against a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data: {colour: %s}
"""
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: secret}\n"
UNKNOWN = "apiVersion: example.org/v1\nkind: Frob\nmetadata: {name: x}\n"
INVALID = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG % "red")
    return path


def test_created_configured_unchanged(minik8s: Any, file: Path) -> None:
    """Each object is told to be created, configured or unchanged."""
    assert minik8s("apply", "-f", str(file)) == "configmap/config created\n"
    assert minik8s("apply", "-f", str(file)) == "configmap/config unchanged\n"
    file.write_text(CONFIG % "blue")
    assert minik8s("apply", "-f", str(file)) == "configmap/config configured\n"
    assert "colour: blue" in minik8s("get", "cm", "config", "-o", "yaml")


def test_dry_run_changes_nothing(minik8s: Any, file: Path) -> None:
    """--dry-run=server says the same, and nothing happens."""
    assert minik8s("apply", "-f", str(file), "--dry-run=server") == "configmap/config created (server dry run)\n"
    assert minik8s("get", "cm", "config", "--ignore-not-found") == ""
    minik8s("apply", "-f", str(file))
    assert "unchanged" in minik8s("apply", "-f", str(file), "--dry-run=server")
    file.write_text(CONFIG % "blue")
    assert "configured" in minik8s("apply", "-f", str(file), "--dry-run=server")
    assert "colour: red" in minik8s("get", "cm", "config", "-o", "yaml")


def test_sources(minik8s: Any, file: Path, tmp_path: Path) -> None:
    """Several files, a folder's manifests by name, and stdin."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b.yml").write_text(SECRET)
    (folder / "a.yaml").write_text((CONFIG % "red").replace("config}", "first}"))
    (folder / "notes.txt").write_text("not a manifest")
    assert minik8s("apply", "-f", str(folder)) == "configmap/first created\nsecret/secret created\n"
    assert minik8s("apply", "-f", str(file), str(folder)).count("\n") == 3
    assert minik8s("apply", "-f", "-", input=f"{SECRET}---\n{CONFIG % 'red'}").count("unchanged") == 2


def test_a_manifest_may_define_the_kinds_that_it_uses(minik8s: Any) -> None:
    """A definition and an object of it, in one go; the new kind has its short name and columns."""
    definition = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: frobs.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: frobs, kind: Frob, shortNames: [fr]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
    said = minik8s("apply", "-f", "-", input=f"{definition}---\n{UNKNOWN}spec: {{size: 3}}\n")
    assert (
        said == "customresourcedefinition.apiextensions.k8s.io/frobs.example.org created\nfrob.example.org/x created\n"
    )
    assert minik8s("get", "fr").split() == ["NAME", "SIZE", "x", "3"]
    minik8s("delete", "crd", "frobs.example.org")


def test_generated_names(minik8s: Any) -> None:
    """An object with generateName is created each time."""
    text = SECRET.replace("name:", "generateName:")
    first, second = (minik8s("apply", "-f", "-", input=text) for _ in range(2))
    assert first.endswith(" created\n")
    assert first != second


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "stdin: "),
        ("just text", "cannot unmarshal string"),
        ("", "no objects in the manifests"),
        (UNKNOWN, 'no matches for kind "Frob" in version "example.org/v1"'),
        ("kind: ConfigMap\n", "an object needs apiVersion and kind"),
        (INVALID, "Error from server (Invalid): ConfigMap"),
        (SECRET.replace("}", ", namespace: nowhere}"), '(NotFound): namespaces "nowhere" not found'),
    ],
)
def test_bad_manifests(minik8s: Any, text: str, words: str) -> None:
    """Whatever is wrong is one line on stderr and exit code 1."""
    assert words in minik8s.fails("apply", "-f", "-", input=text)


def test_goes_on_after_an_object_that_fails(minik8s: Any) -> None:
    """Objects after a bad one are applied; the exit code tells."""
    result = minik8s.invoke("apply", "-f", "-", input=f"{INVALID}---\n{UNKNOWN}---\n{SECRET}")
    assert result.exit_code == 1
    assert result.stdout == "secret/secret created\n"
    assert result.stderr.count("\n") == 2


def test_bad_paths(minik8s: Any, tmp_path: Path) -> None:
    """A missing file, an empty folder and a file that is not text are refused by name."""
    binary = tmp_path / "x.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    (empty := tmp_path / "empty").mkdir()
    for path in (tmp_path / "missing.yaml", empty, binary):
        assert str(path) in minik8s.fails("apply", "-f", str(path))
    assert minik8s.invoke("apply").exit_code == 2
