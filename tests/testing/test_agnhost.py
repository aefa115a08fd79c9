"""The stand-in for upstream's test image: flags, texts, reviews; and a few commands as they run in a container."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from minik8s.kubelet.runtime.images import ImageRegistry
from minik8s.testing.agnhost import flags, netexec, webhook
from minik8s.testing.agnhost.web import Request

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.59"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The file that the image brings along."""
    registry = ImageRegistry(directory=tmp_path)
    image = registry.resolve(AGNHOST)
    assert (image.argv, image.args) == (("/agnhost",), ("pause",))
    assert registry.unprepared(image)
    registry.prepare(image)
    assert not registry.unprepared(image)
    return next(mount.host_path for mount in image.mounts if mount.container_path == "/agnhost-2")


def run(program: Path, *arguments: str, **env: str) -> tuple[int, str, str]:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, env=env, timeout=20, check=False)
    return done.returncode, done.stdout, done.stderr


def test_commands(program: Path, tmp_path: Path) -> None:
    """Texts and exit codes are those that upstream's tests look for; paths are the container's."""
    root = tmp_path / "root"
    (root / "etc" / "v").mkdir(parents=True)
    (root / "etc" / "v" / "data").write_text("value-1")
    (root / "etc" / "v" / "data").chmod(0o440)
    where = {"MINIK8S_ROOT": str(root)}
    told = run(program, "mounttest", "--file_content=/etc/v/data", "--file_mode=/etc/v/data", **where)
    assert told == (0, 'mode of file "/etc/v/data": -r--r-----\ncontent of file "/etc/v/data": value-1\n', "")
    code, said, _ = run(program, "mounttest", "--new_file_0644=/etc/v/new", "--file_perm=/etc/v/new", **where)
    text = 'content of file "/etc/v/new": mount-tester new file\n\nperms of file "/etc/v/new": -rw-r--r--\n'
    assert (code, said) == (0, text)
    assert run(program, "entrypoint-tester", "a", "b")[1] == "[/agnhost-2 entrypoint-tester a b]\n"
    assert len(run(program, "logs-generator", "-t", "3", "-d", "1ms")[1].splitlines()) == 3
    assert run(program, "connect", "127.0.0.1:1")[::2] == (1, "REFUSED\n")


def test_what_is_not_there_is_named(program: Path) -> None:
    """A command that upstream has and this has not, an unknown one, and flags that are none: each with its error."""
    said = 'Error: command "net" is not in this stand-in for "agnhost"\n'
    assert run(program, "net") == (1, "", said)
    assert "unknown flag: --nonsense" in run(program, "netexec", "--nonsense")[2]
    assert "SCTP" in run(program, "netexec", "--sctp-port=1")[2]
    assert 'invalid argument "x" for "--port" flag' in run(program, "test-webserver", "--port", "x")[2]


@pytest.mark.parametrize(("text", "seconds"), [("1m30s", 90.0), ("1.5s", 1.5), ("100ms", 0.1), ("", 0.0), ("0", 0.0)])
def test_durations(text: str, seconds: float) -> None:
    """Go's durations are read as Go reads them."""
    assert flags.duration(text) == pytest.approx(seconds)
    with pytest.raises(flags.UsageError):
        flags.duration(text + "x")


def test_netexec_answers() -> None:
    """Echo, a shell and a dial that nobody answers, without a socket of its own."""

    def asked(target: str) -> Any:
        request = Request("GET", target, {}, b"", "127.0.0.1:5")
        found = netexec.Netexec("").routes[request.path](request)
        return found

    assert asked("/echo?msg=hi&code=418") == (418, "hi")
    assert asked("/clientip") == (200, "127.0.0.1:5")
    assert json.loads(asked("/shell?cmd=echo%20x;exit%203")[1]) == {"output": "x\n", "error": "exit status 3"}
    assert asked("/dial?host=127.0.0.1&port=1")[0] == 400
    assert "refused" in asked("/dial?host=127.0.0.1&port=1&request=hostname")[1]


def operations(response: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(response["patch"]))


POD = {"metadata": {"name": "webhook-to-be-mutated"}, "spec": {"containers": [{"name": "webhook-disallow"}]}}
LABELLED = {"metadata": {"labels": {"webhook-e2e-test": "webhook-disallow"}}}


def test_reviews() -> None:
    """What upstream's webhook denies and changes."""
    denied = webhook.pods({"object": POD})
    assert denied == webhook.deny("the pod contains unwanted container name;")
    assert operations(webhook.mutate_pods({"object": POD}))[0]["path"] == "/spec/initContainers"
    assert operations(webhook.stages({"object": {"data": {"mutation-start": "yes"}}})) == [
        {"op": "add", "path": "/data/mutation-stage-1", "value": "yes"}
    ]
    assert operations(webhook.add_label({"object": {"metadata": {"labels": {"a": "b"}}}}))[0]["value"] == "yes"
    assert not webhook.crd({"object": LABELLED})["allowed"]
    bad, kept = ({"data": {"webhook-e2e-test": mark}} for mark in ("webhook-disallow", "webhook-nondeletable"))
    for path in ("/configmaps", "/custom-resource"):
        review = webhook.REVIEWS[path]
        assert not review({"object": bad})["allowed"]
        assert not review({"operation": "DELETE", "oldObject": kept, "object": None})["allowed"]
        assert review({"operation": "DELETE", "oldObject": bad})["allowed"]
        assert review({"operation": "UPDATE", "object": kept})["allowed"]
    assert flags.parse(["--alsologtostderr", "-v=4", "--port=1"], {"port": "2"}) == {"port": "1"}


def test_conversion() -> None:
    """hostPort becomes host and port, and back; what is neither is an error."""
    one = {"apiVersion": "stable.example.com/v1", "hostPort": "a:1"}
    two = webhook.converted(one, "stable.example.com/v2")
    assert two == {"apiVersion": "stable.example.com/v2", "host": "a", "port": "1"}
    assert webhook.converted(two, "stable.example.com/v1") == one
    with pytest.raises(ValueError, match="invalid hostPort value"):
        webhook.converted({**one, "hostPort": "a"}, "stable.example.com/v2")


def test_it_needs_nothing_of_the_package() -> None:
    """The program runs without site-packages: it imports the standard library and itself."""
    package = str(Path(netexec.__file__).parents[3])
    script = (
        f"import sys; sys.path.insert(0, {package!r}); import minik8s.testing.agnhost.command;"
        "print([m for m in sys.modules if m.startswith('minik8s') and 'testing' not in m])"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "['minik8s']\n"
