"""Image references are normalised as upstream does, and names map to commands."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.kubelet.runtime.images import ImageRegistry, parse_entries
from minik8s.kubelet.runtime.protocol import ImageError
from minik8s.kubelet.runtime.references import parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("me/app", "docker.io/me/app:latest"),
        ("docker.io/app", "docker.io/library/app:latest"),
        ("index.docker.io/app", "docker.io/library/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("Registry.Example/app:v1", "Registry.Example/app:v1"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}"),
        (f"app:v1@{DIGEST}", f"docker.io/library/app:v1@{DIGEST}"),
        ("x/a--b__c.d", "docker.io/x/a--b__c.d:latest"),
    ],
)
def test_normalisation(image: str, full: str) -> None:
    """A short name gets the default registry, `library/` and `latest`, as upstream."""
    assert str(parse_reference(image)) == full


@pytest.mark.parametrize(
    "image", ["", "UPPER", "a b", "app:", "app:-x", "app@sha256:1", "-app", "a//b", "app/", "a:b:c", "x" * 300, "é"]
)
def test_invalid_names(image: str) -> None:
    """What is no reference is InvalidImageName, in the kubelet's words."""
    with pytest.raises(ImageError) as caught:
        parse_reference(image)
    assert caught.value.reason == "InvalidImageName"
    assert caught.value.message.startswith(f'Failed to apply default image tag "{image}": couldn\'t parse image name')


def test_upper_case_is_explained() -> None:
    """The commonest mistake has a text of its own."""
    with pytest.raises(ImageError, match=r"repository name \(library/UPPER\) must be lowercase"):
        parse_reference("UPPER")


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_an_image_error(text: str) -> None:
    """No input makes the parser fail otherwise, and a full name stands for itself."""
    try:
        full = str(parse_reference(text))
    except ImageError:
        return
    assert str(parse_reference(full)) == full


def test_unknown_image() -> None:
    """An unknown image is ErrImagePull with containerd's message."""
    with pytest.raises(ImageError) as caught:
        ImageRegistry().resolve("nope")
    name = "docker.io/library/nope:latest"
    assert caught.value.reason == "ErrImagePull"
    assert caught.value.message == (
        f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": {name}: not found'
    )


def test_unknown_may_be_allowed() -> None:
    """On request an unknown name is an image without an entrypoint, for containers that bring a command."""
    image = ImageRegistry(allow_unknown_with_command=True).resolve("nope")
    assert (image.name, image.argv, image.args) == ("docker.io/library/nope:latest", (), ())
    with pytest.raises(ImageError, match="Failed to apply"):
        ImageRegistry(allow_unknown_with_command=True).resolve("NOPE")


def test_user_images() -> None:
    """An entry without a tag is for every tag, one with a tag wins for its own; commands are split as a shell would."""
    registry = ImageRegistry({"web": "serve --dir 'a b'", "web:v2": ("serve", "two"), "busybox": "mine"})
    assert registry.resolve("docker.io/library/web:v1").argv == ("serve", "--dir", "a b")
    assert registry.resolve("web:v2").argv == ("serve", "two")
    assert registry.resolve(f"web:v2@{DIGEST}").argv == ("serve", "two")
    assert registry.resolve("busybox:1").argv == ("mine",)
    assert registry.resolve("web").working_dir == str(Path.cwd())
    assert registry.resolve("web:v1").id != registry.resolve("web:v2").id


def test_an_empty_command_is_refused() -> None:
    """An image that does nothing is a mistake of whoever registered it."""
    with pytest.raises(ValueError, match="needs a command"):
        ImageRegistry({"web": ""})


def test_entries_from_a_file(tmp_path: Path) -> None:
    """One NAME=COMMAND a line; comments and blank lines are skipped; a command may hold `=`."""
    file = tmp_path / "images"
    file.write_text("# my images\n\nweb = python -m http.server\n  db:v1=run --port=5\n")
    registry = ImageRegistry()
    registry.register_file(file)
    assert registry.resolve("web").argv == ("python", "-m", "http.server")
    assert registry.resolve("db:v1").argv == ("run", "--port=5")
    assert not registry.knows("db:v2")


@pytest.mark.parametrize("text", ["web", "=x", "web=", "# ok\nweb"])
def test_bad_lines_are_refused(text: str) -> None:
    """A line that is not NAME=COMMAND is named by its number."""
    with pytest.raises(ValueError, match=r"line \d: expected NAME=COMMAND"):
        parse_entries(text)


def test_built_in_images(tmp_path: Path) -> None:
    """The built-in images are known under their upstream names, with any tag."""
    registry = ImageRegistry(directory=tmp_path)
    for image in ("pause", "registry.k8s.io/pause:3.10", "busybox:1.36", "python:3.12", "minik8s/testserver:v1"):
        assert registry.knows(image)
    assert not registry.knows("quay.io/python:3.12")
    assert registry.resolve("python:3.12").args == (sys.executable,)
    assert registry.resolve("busybox").args == ("sh",)
    first, second = registry.resolve("minik8s/testserver:v1"), registry.resolve("minik8s/testserver:v2")
    assert (first.env["VERSION"], second.env["VERSION"]) == ("v1", "v2")
    assert first.id != second.id


def test_busybox_is_prepared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's busybox is linked under the names it lists, when it is first pulled; twice does no harm."""
    binary = tmp_path / "bin" / "busybox"
    binary.parent.mkdir()
    binary.write_text("#!/bin/sh\necho sh\necho sleep\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}:/bin:/usr/bin")
    registry = ImageRegistry(directory=tmp_path)
    image = registry.resolve("busybox")
    assert registry.unprepared(image)
    assert not registry.unprepared(registry.resolve("pause"))
    registry.prepare(image)
    registry.prepare(image)
    assert not registry.unprepared(image)
    applets = Path(image.env["PATH"].split(":")[0])
    assert {link.name: link.readlink() for link in applets.iterdir()} == {"sh": binary, "sleep": binary}
    assert {mount.container_path: mount.host_path for mount in image.mounts} == {"/bin/sh": binary}
    assert binary.read_text().startswith("#!/bin/sh")


def test_without_busybox_the_hosts_tools_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host without busybox the image is there all the same."""
    monkeypatch.setenv("PATH", str(tmp_path))
    image = ImageRegistry(directory=tmp_path).resolve("busybox")
    assert (image.args, image.env) == (("sh",), {})
