"""Images on disk as containers of a cluster: what their configuration says, and what is said of bad ones."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from minik8s import EVENTS, NODES, PODS, Cluster
from minik8s.kubelet.runtime.feasibility import why_impossible
from tests.kubelet.runtime.oci.building import Image, docker_archive, file, layer, layout, tools_layer

PROBLEM = anyio.run(why_impossible)
SANDBOX = pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)
pytestmark = pytest.mark.anyio

TOOLS = tools_layer("sh", "id", "cat", "pwd", "sleep")
USERS = layer(
    file("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/srv:/bin/sh\n"), file("srv/motd", "hello\n")
)
CONFIG = {
    "Entrypoint": ["sh", "-c", "echo $0 $@; id -u; id -g; pwd; cat motd; echo $FROM $HOME"],
    "Cmd": ["by-default", "twice"],
    "Env": ["PATH=/bin", "FROM=image"],
    "WorkingDir": "/srv",
    "User": "app",
}
SHOP = Image(layers=(TOOLS, USERS), config=CONFIG)


def pod(name: str, image: str, container: Any = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": image, **(container or {})}],
            **spec,
        },
    }


def ended(pod: Any) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def waits(*reasons: str) -> Any:
    def check(pod: Any) -> bool:
        statuses = pod["status"].get("containerStatuses") or ()
        return any((status["state"].get("waiting") or {}).get("reason") in reasons for status in statuses)

    return check


async def said(cluster: Cluster, name: str) -> list[str]:
    async with cluster.client.logs(PODS, name, namespace="default") as chunks:
        return b"".join([chunk async for chunk in chunks]).decode().splitlines()


async def events(cluster: Cluster, name: str) -> list[tuple[str, str]]:
    found = (await cluster.client.list(EVENTS, namespace="default")).items
    return [(e["reason"], e["message"]) for e in found if e["involvedObject"]["name"] == name]


@pytest.fixture
async def shops(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster of sandboxes with images of every kind."""
    (tmp_path / "broken.tar").write_bytes(docker_archive(tmp_path / "x.tar", {"a:b": SHOP}).read_bytes()[:5000])
    images: dict[str, str | Path] = {
        "layout": layout(tmp_path / "layout", SHOP).root,
        "saved": docker_archive(tmp_path / "saved.tgz", {"company/shop:v1": SHOP}, "w:gz"),
        "foreign": str(docker_archive(tmp_path / "foreign.tar", {"a:b": Image(architecture="s390x")})),
        "broken": tmp_path / "broken.tar",
        "missing": tmp_path / "missing.tar",
    }
    async with Cluster(serve=False, runtime="sandbox", images=images, lease_seconds=4) as cluster:
        yield cluster


@SANDBOX
@pytest.mark.parametrize("image", ["layout", "saved:v1"])
async def test_an_image_says_what_to_run(shops: Cluster, image: str) -> None:
    """Entrypoint, arguments, environment, directory and user are the image's, each until the pod says otherwise."""
    cases = {
        "plain": ({}, ["by-default twice", "1000", "1001", "/srv", "hello", "image /srv"]),
        "args": ({"args": ["x"]}, ["x", "1000", "1001", "/srv", "hello", "image /srv"]),
        "command": ({"command": ["sh", "-c", "echo $@", "0"]}, [""]),
        "both": ({"command": ["sh", "-c", "echo $0"], "args": ["mine"]}, ["mine"]),
        "else": (
            {
                "workingDir": "/bin/../srv",
                "env": [{"name": "FROM", "value": "pod"}],
                "securityContext": {"runAsUser": 0},
            },
            ["by-default twice", "0", "0", "/srv", "hello", "pod /root"],
        ),
    }
    for name, (container, _) in cases.items():
        await shops.apply(pod(name, image, container))
    for name, (_, lines) in cases.items():
        last = await shops.wait_for(PODS, name, ended)
        assert (await said(shops, name), last["status"]["phase"]) == (lines, "Succeeded"), name
    status = last["status"]["containerStatuses"][0]
    tagged = "docker.io/library/layout:latest" if image == "layout" else "docker.io/library/saved:v1"
    assert status["image"] == tagged
    assert status["imageID"].startswith("docker.io/library/layout@sha256:" if image == "layout" else "sha256:")
    node = await shops.wait_for(NODES, "node-1", lambda node: tagged in str(node["status"].get("images")))
    known = next(known for known in node["status"]["images"] if tagged in known["names"])
    assert known["sizeBytes"] > len(TOOLS) // 2
    assert (status["imageID"] in known["names"]) is (image == "layout")


@SANDBOX
@pytest.mark.parametrize("policy", ["Always", "IfNotPresent", "Never"])
async def test_pull_policies(shops: Cluster, policy: str) -> None:
    """An image on disk is as good as loaded on every node; with Always it is looked at anew, and events say so."""
    await shops.apply(pod("p", "saved:v1", {"imagePullPolicy": policy}))
    await shops.wait_for(PODS, "p", ended)
    told = [(reason, text) for reason, text in await events(shops, "p") if reason in ("Pulling", "Pulled")]
    if policy != "Always":
        present = 'Container image "saved:v1" already present on machine and can be accessed by the pod'
        assert told == [("Pulled", present)]
        return
    assert told[0] == ("Pulling", 'Pulling image "saved:v1"')
    assert re.fullmatch(r'Successfully pulled image "saved:v1" in .* Image size: \d{5,} bytes\.', told[1][1])


@SANDBOX
async def test_bad_images_are_refused_with_the_reason(shops: Cluster) -> None:
    """Status and events of the pod say what is wrong with its image."""
    expected = {
        "foreign": "no match for platform in manifest.json: not found: it is for linux/s390x, and this machine is",
        "broken": "it is no tar that can be read: unexpected end of data",
        "missing": "missing.tar: No such file or directory",
    }
    for name in expected:
        await shops.apply(pod(name, name))
    for name, text in expected.items():
        seen = await shops.wait_for(PODS, name, waits("ErrImagePull", "ImagePullBackOff"))
        waiting = seen["status"]["containerStatuses"][0]["state"]["waiting"]
        assert f'failed to pull and unpack image "docker.io/library/{name}:latest": ' in waiting["message"]
        assert text in waiting["message"]
        failures = [message for reason, message in await events(shops, name) if reason == "Failed"]
        assert any(text in message for message in failures)


@SANDBOX
async def test_must_not_be_root(tmp_path: Path) -> None:
    """runAsNonRoot is checked against the image's user, which has to be a number for that."""
    users = {"none": "", "name": "app", "number": "1000", "zero": "0:0"}
    images = {
        name: layout(tmp_path / name, Image(layers=(TOOLS, USERS), config={**CONFIG, "User": user})).root
        for name, user in users.items()
    }
    async with Cluster(serve=False, runtime="sandbox", images=images) as cluster:
        for name in users:
            await cluster.apply(pod(name, name, securityContext={"runAsNonRoot": True}))
        await cluster.wait_for(PODS, "number", ended)
        for name, text in (
            ("none", "container has runAsNonRoot and image will run as root"),
            ("zero", "container has runAsNonRoot and image will run as root"),
            ("name", "image has non-numeric user (app), cannot verify user is non-root"),
        ):
            seen = await cluster.wait_for(PODS, name, waits("CreateContainerConfigError"))
            assert text in seen["status"]["containerStatuses"][0]["state"]["waiting"]["message"]


@SANDBOX
async def test_an_unknown_user_of_an_image(tmp_path: Path) -> None:
    """A user that the image does not know keeps the container from being created, and a volume's owner is no help."""
    image = Image(layers=(TOOLS,), config={**CONFIG, "User": "ghost"})
    async with Cluster(serve=False, runtime="sandbox", images={"x": layout(tmp_path / "x", image).root}) as cluster:
        await cluster.apply(pod("x", "x"))
        seen = await cluster.wait_for(PODS, "x", waits("CreateContainerError"))
        message = seen["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
        assert message == "unable to find user ghost: no matching entries in passwd file"


@SANDBOX
async def test_what_takes_writes(tmp_path: Path) -> None:
    """A container writes to its own copy; with a read-only root only to the image's volumes, which have its files."""
    config = {"Env": ["PATH=/bin"], "Volumes": {"/srv": {}, "/new/deep": {}}}
    made = layout(tmp_path / "x", Image(layers=(TOOLS, USERS), config=config))
    write = "for d in / /srv /new/deep; do echo x > $d/y && echo wrote $d; done; cat /srv/motd"
    async with Cluster(serve=False, runtime="sandbox", images={"x": made.root}) as cluster:
        for name, read_only in (("open", False), ("closed", True), ("again", False)):
            security = {"readOnlyRootFilesystem": read_only}
            command = ["sh", "-c", write] if name != "again" else ["sh", "-c", "cat /y || echo gone"]
            await cluster.apply(pod(name, "x", {"command": command, "securityContext": security}))
            await cluster.wait_for(PODS, name, ended)
        lines = {name: await said(cluster, name) for name in ("open", "closed", "again")}
    assert [line for line in lines["open"] if "wrote" in line] == ["wrote /", "wrote /srv"]
    assert [line for line in lines["closed"] if "wrote" in line] == ["wrote /srv", "wrote /new/deep"]
    assert lines["closed"][-1] == "hello"
    assert lines["again"][-1] == "gone"


@SANDBOX
async def test_the_images_stop_signal(tmp_path: Path) -> None:
    """What the image says ends a container, realtime signals too, unless the pod says otherwise."""
    script = "trap 'echo rt; exit 0' RTMIN+3; trap 'echo usr; exit 0' USR2; echo up; while :; do sleep 0.05; done"
    config = {"Entrypoint": ["bash", "-c", script], "Env": ["PATH=/bin"], "StopSignal": "SIGRTMIN+3"}
    made = layout(tmp_path / "x", Image(layers=(tools_layer("bash", "sleep"),), config=config))
    async with Cluster(serve=False, runtime="sandbox", images={"x": made.root}) as cluster:
        for name, lifecycle, word in (("image", {}, "rt"), ("pod", {"stopSignal": "SIGUSR2"}, "usr")):
            body = pod(name, "x", {"lifecycle": lifecycle} if lifecycle else {}, os={"name": "linux"})
            body["spec"]["terminationGracePeriodSeconds"] = 30
            await cluster.apply(body)
            await cluster.wait_for(PODS, name, lambda pod: pod["status"].get("phase") == "Running")
            async with cluster.client.logs(PODS, name, namespace="default", follow="true") as chunks:
                text = b""
                async for chunk in chunks:
                    if b"up\n" in chunk and not text:
                        await cluster.client.delete(PODS, name, namespace="default")
                    text += chunk
            lines = text.decode().splitlines()
            assert (lines[0], lines[-1]) == ("up", word)


@pytest.mark.minik8s(serve=False)
async def test_plain_processes_have_no_roots(tmp_path: Path) -> None:
    """The subprocess runtime refuses an image on disk, with the runtime that takes it."""
    async with Cluster(serve=False, images={"x": layout(tmp_path / "x", SHOP).root}) as cluster:
        await cluster.apply(pod("x", "x"))
        seen = await cluster.wait_for(PODS, "x", waits("ErrImagePull", "ImagePullBackOff"))
        message = seen["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
        assert message.endswith('it has a root file system of its own, for which the cluster needs runtime "sandbox"')
