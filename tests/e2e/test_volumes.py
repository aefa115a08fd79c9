"""What containers see of their volumes, in both runtimes with real processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from minik8s import CONFIG_MAPS, PODS, SECRETS, Cluster
from minik8s.kubelet import storage
from minik8s.machinery.errors import Invalid
from tests.e2e.volumepods import (
    RUNTIMES,
    config_map,
    ended,
    event,
    heard,
    log,
    mount,
    pod,
    refused,
    run,
    running,
    waiting,
)

pytestmark = [pytest.mark.anyio, RUNTIMES]
CONFIG = {"name": "c", "configMap": {"name": "m"}}
UNTIL = "for i in $(seq 1 400); do if {}; then break; fi; sleep 0.05; done"
"""A loop of the shell until something is so, for 20 seconds at most."""


async def test_updates_come_all_at_once(runtime: Any) -> None:
    """Names are links through `..data`; a new key appears, an old one goes, and what is mounted inside stays."""
    script = f"""
    readlink c/a c/..data | sed 's/[0-9]/N/g'; cat c/a c/sub/is; echo up
    {UNTIL.format("[ -e c/b ]")}
    cat c/b c/sub/is; ls c"""
    inner = {"name": "e", "configMap": {"name": "n"}}
    async with Cluster(serve=False, runtime=runtime) as cluster:
        await cluster.apply([config_map("m", a="one\n"), config_map("n", **{"is": "inner\n"})])
        await cluster.apply(pod("p", script, [mount("c", "/c"), mount("e", "/c/sub")], [CONFIG, inner]))
        await heard(cluster, "p", "up")
        await cluster.client.patch(
            CONFIG_MAPS, "m", {"data": {"a": None, "b": "two\n"}}, namespace="default", type="merge"
        )
        await cluster.wait_for(PODS, "p", ended)
        assert await log(cluster, "p") == [
            "..data/a",
            "..NNNN_NN_NN_NN_NN_NN.NNNNNNNNN",
            "one",
            "inner",
            "up",
            "two",
            "inner",
            "b",
            "sub",
        ]


async def test_a_part_of_a_volume_is_never_updated(runtime: Any) -> None:
    """A file or directory by subPath keeps its content, readable, while the volume beside it moves on."""
    items = [{"key": "a", "path": "deep/a"}, {"key": "b", "path": "b"}]
    volume = {"name": "c", "configMap": {"name": "m", "items": items}}
    script = f"echo up; {UNTIL.format('grep -q new c/b')}\ncat c/b c/deep/a one/b two/a"
    mounts = [mount("c", "/c"), mount("c", "/one/b", subPath="b"), mount("c", "/two", subPath="deep")]
    async with Cluster(serve=False, runtime=runtime) as cluster:
        await cluster.apply(config_map("m", a="a old\n", b="b old\n"))
        await cluster.apply(pod("p", script, mounts, [volume]))
        await heard(cluster, "p", "up")
        await cluster.apply(config_map("m", a="a new\n", b="b new\n"))
        await cluster.wait_for(PODS, "p", ended)
        assert await log(cluster, "p") == ["up", "b new", "a new", "b old", "a old"]


async def test_sub_paths(runtime: Any, tmp_path: Path) -> None:
    """A missing directory is made as open as the volume; variables are expanded; links stay inside of the volume."""
    volumes = [{"name": "e", "emptyDir": {}}, {"name": "h", "hostPath": {"path": str(tmp_path / "data")}}]
    (tmp_path / "data" / "inside").mkdir(parents=True)
    (tmp_path / "data" / "inside" / "is").write_text("in\n")
    (tmp_path / "data" / "link").symlink_to("inside")
    (tmp_path / "data" / "out").symlink_to(tmp_path)
    env = [{"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "NONE", "value": ""}]
    mounts = [
        mount("e", "/e"),
        mount("e", "/mine", subPathExpr="logs/$(WHO)"),
        mount("h", "/linked", subPath="link"),
        mount("h", "/made", subPath="new/deep"),
    ]
    script = "echo hello > mine/x; cat e/logs/p/x linked/is; stat -L -c %a mine e/logs"
    async with Cluster(serve=False, runtime=runtime) as cluster:
        assert await run(cluster, pod("p", script, mounts, volumes, {"env": env})) == ["hello", "in", "777", "777"]
        assert (tmp_path / "data" / "new" / "deep").is_dir()
        for number, (fields, said) in enumerate(
            (
                ({"subPathExpr": "$(GONE)/$(NONE)"}, "missing value for GONE, NONE"),
                ({"subPath": "out/x"}, 'failed to create subPath directory for volumeMount "h" of container "main"'),
                ({"subPath": "inside/is/x"}, 'failed to create subPath directory for volumeMount "h" of'),
            )
        ):
            body = pod(f"bad{number}", "", [mount("h", "/h", **fields)], volumes, {"env": env})
            assert said in await refused(cluster, body, "CreateContainerConfigError")
        assert not (tmp_path / "x").exists()


async def test_containers_share_volumes(runtime: Any) -> None:
    """An emptyDir is the pod's: it outlives a container's restart and is the same for both, on disk and in memory."""
    volumes = [{"name": "d", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]
    mounts = [mount("d", "/d"), mount("m", "/m")]
    reader = f"{UNTIL.format('[ -e m/starts ] && [ `wc -l < m/starts` = 2 ]')}; wc -l < d/starts; stat -L -c %a d m"
    writer = 'cd "$MINIK8S_ROOT"; echo x >> d/starts; echo x >> m/starts; [ `wc -l < d/starts` = 2 ]'
    body = pod("p", reader, mounts, volumes, restartPolicy="OnFailure")
    other = {"name": "w", "image": "busybox", "command": ["sh", "-c", writer], "volumeMounts": mounts}
    body["spec"]["containers"].append(other)
    async with Cluster(serve=False, runtime=runtime) as cluster:
        assert await run(cluster, body) == ["2", "777", "777"]


async def test_a_volume_nobody_uses_holds_nobody_up(runtime: Any) -> None:
    """Only what containers mount is set up; an ephemeral container may be the first to do so."""
    volumes = [CONFIG, {"name": "gone", "secret": {"secretName": "gone"}}]
    async with Cluster(serve=False, runtime=runtime) as cluster:
        await cluster.apply(config_map("m", a="late"))
        await cluster.apply(pod("p", "sleep 1000", [], volumes))
        await cluster.wait_for(PODS, "p", running)
        script = 'cat "$MINIK8S_ROOT/c/a"'
        debug = {"name": "d", "image": "busybox", "command": ["sh", "-c", script], "volumeMounts": [mount("c", "/c")]}
        await cluster.client.patch(
            PODS,
            "p",
            {"spec": {"ephemeralContainers": [debug]}},
            namespace="default",
            type="strategic",
            subresource="ephemeralcontainers",
        )

        def done(pod: Any) -> bool:
            return any("terminated" in s["state"] for s in pod["status"].get("ephemeralContainerStatuses") or ())

        await cluster.wait_for(PODS, "p", done)
        assert await log(cluster, "p", "d") == ["late"]


async def test_what_is_missing_is_told_and_awaited(runtime: Any) -> None:
    """Upstream's texts, one event for each volume; the pod starts as soon as everything is there."""
    items = [{"key": "k", "path": "k"}]
    volumes = [
        CONFIG,
        {"name": "s", "secret": {"secretName": "s", "items": items}},
        {"name": "o", "configMap": {"name": "never", "optional": True}},
        {"name": "p", "projected": {"sources": [{"secret": {"name": "s", "optional": True, "items": items}}]}},
    ]
    mounts = [mount(name, f"/{name}") for name in "csop"]
    async with Cluster(serve=False, runtime=runtime) as cluster:
        await cluster.apply(pod("p", "cat c/a s/k; ls o; ls p", mounts, volumes))
        text = await event(cluster, "p", "FailedMount", "configmap")
        assert text == 'MountVolume.SetUp failed for volume "c" : configmap "m" not found'
        text = await event(cluster, "p", "FailedMount", "secret")
        assert text == 'MountVolume.SetUp failed for volume "s" : secret "s" not found'
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"other": ""}}
        await cluster.apply([config_map("m", a="a\n"), secret])
        text = await event(cluster, "p", "FailedMount", "non-existent")
        assert text == 'MountVolume.SetUp failed for volume "s" : references non-existent secret key: k'
        await cluster.client.patch(SECRETS, "s", {"stringData": {"k": "k\n"}}, namespace="default", type="merge")
        await cluster.wait_for(PODS, "p", ended)
        assert await log(cluster, "p") == ["a", "k", "k"]


async def test_what_goes_wrong_later_leaves_a_volume_as_it_was(runtime: Any) -> None:
    """A map that is deleted, too large or immutable changes nothing of what is mounted, and the first is told."""
    fixed = {**config_map("fixed", a="fixed\n"), "immutable": True}
    volumes = [CONFIG, {"name": "f", "configMap": {"name": "fixed"}}]
    script = f"cat c/a f/a; {UNTIL.format('[ -e e/go ]')}; cat c/a f/a"
    async with Cluster(serve=False, runtime=runtime) as cluster:
        await cluster.apply([config_map("m", a="a\n"), fixed])
        body = pod("p", script, [mount("c", "/c"), mount("f", "/f"), mount("d", "/e")], volumes)
        body["spec"]["volumes"].append({"name": "d", "configMap": {"name": "signal", "optional": True}})
        await cluster.apply(body)
        await cluster.wait_for(PODS, "p", running)
        for name, text in (("m", "x" * (1 << 20) + "x"), ("fixed", "other")):
            with pytest.raises(Invalid, match=r"may not be more than|immutable"):
                await cluster.client.patch(CONFIG_MAPS, name, {"data": {"a": text}}, namespace="default", type="merge")
        await cluster.client.delete(CONFIG_MAPS, "m", namespace="default")
        await event(cluster, "p", "FailedMount", 'failed for volume "c" : configmap "m" not found')
        await cluster.apply(config_map("signal", go=""))
        await cluster.wait_for(PODS, "p", ended)
        assert await log(cluster, "p") == ["a", "fixed", "a", "fixed"]


async def test_projections(runtime: Any) -> None:
    """All sources side by side, each file with its mode; what no kubelet here can fill is refused by name."""
    sources: list[dict[str, Any]] = [
        {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 600}},
        {"configMap": {"name": "m", "items": [{"key": "a", "path": "x/a", "mode": 0o440}]}},
        {
            "downwardAPI": {
                "items": [
                    {"path": "notes", "fieldRef": {"fieldPath": "metadata.annotations"}},
                    {
                        "path": "cpu",
                        "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu", "divisor": "1m"},
                    },
                    {
                        "path": "memory",
                        "resourceFieldRef": {"containerName": "main", "resource": "requests.memory", "divisor": "1Mi"},
                    },
                ]
            }
        },
    ]
    volume = {"name": "p", "projected": {"defaultMode": 0o400, "sources": sources}}
    resources = {"limits": {"cpu": "1500m"}, "requests": {"memory": "1500Ki"}}
    script = "cd p; stat -L -c '%a %n' token x/a notes cpu; cat x/a notes; echo; cat cpu; echo; cat memory; echo; "
    script += "cut -d . -f 2 < token | tr -- -_ +/ | sed 's/$/==/' | base64 -d 2> /dev/null | grep -o vault"
    async with Cluster(serve=False, runtime=runtime) as cluster:
        await cluster.apply(config_map("m", a="a\n"))
        body = pod("p", script, [mount("p", "/p")], [volume], {"resources": resources})
        body["metadata"]["annotations"] = {"b": "2", "a": '"'}
        assert await run(cluster, body) == [
            "400 token",
            "440 x/a",
            "400 notes",
            "400 cpu",
            "a",
            'a="\\""',
            'b="2"',
            "1500",
            "2",
            "vault",
        ]
        for kind, source in (
            ("clusterTrustBundle", {"path": "x", "name": "y"}),
            ("podCertificate", {"signerName": "a.b/c", "keyType": "ED25519", "credentialBundlePath": "x"}),
        ):
            volume = {"name": "v", "projected": {"sources": [{kind: source}]}}
            await cluster.apply(pod(kind.lower(), "", [mount("v", "/v")], [volume]))
            text = await event(cluster, kind.lower(), "FailedMount", "unsupported")
            assert text == f'MountVolume.SetUp failed for volume "v" : unsupported projection: {kind}'


async def test_host_paths(runtime: Any, tmp_path: Path) -> None:
    """Each type's complaint is upstream's; a path of no type, however odd, is made when the container is."""
    (tmp_path / "file").touch()
    cases = {
        "Directory": ("none", "hostPath type check failed: {} is not a directory"),
        "File": ("", "hostPath type check failed: {} is not a file"),
        "Socket": ("file", "hostPath type check failed: {} is not a socket file"),
        "DirectoryOrCreate": ("file/below", "mkdir {}: not a directory"),
        "FileOrCreate": ("none/below", "open {}: no such file or directory"),
    }
    async with Cluster(serve=False, runtime=runtime) as cluster:
        for type_, (path, text) in cases.items():
            place = (tmp_path / path) if path else tmp_path
            volume = {"name": "h", "hostPath": {"path": str(place), "type": type_}}
            await cluster.apply(pod(type_.lower(), "", [mount("h", "/h")], [volume]))
            said = await event(cluster, type_.lower(), "FailedMount", "h")
            assert said == 'MountVolume.SetUp failed for volume "h" : ' + text.format(place)
        odd = tmp_path / "new" / "a b,c:d\\e\n#é'\""
        volume = {"name": "h", "hostPath": {"path": str(odd)}}
        await run(cluster, pod("made", "echo x > h/y", [mount("h", "/h")], [volume]))
        assert (odd / "y").read_text() == "x\n"
        volume = {"name": "h", "hostPath": {"path": str(tmp_path / "file" / "x")}}
        huge = {"name": "h", "emptyDir": {"medium": "HugePages"}}
        await cluster.apply(pod("huge", "", [mount("h", "/h")], [huge]))
        text = await event(cluster, "huge", "FailedMount", "")
        assert text == 'MountVolume.SetUp failed for volume "h" : unknown storage medium "HugePages"'
        text = await refused(cluster, pod("unmade", "", [mount("h", "/h")], [volume]), "CreateContainerError")
        assert "Not a directory" in text


async def test_variables_from_a_file(runtime: Any, tmp_path: Path) -> None:
    """An init container leaves them in a volume; a link leads no further than the volume, and a pipe to nothing."""
    (tmp_path / "secret").write_text("KEY=secret\n")

    def variable(name: str, path: str) -> dict[str, Any]:
        ref = {"volumeName": "e", "path": path, "key": "KEY", "optional": True}
        return {"name": name, "valueFrom": {"fileKeyRef": ref}}

    script = f'cd "$MINIK8S_ROOT/e"; echo KEY=one > env; ln -s env link; ln -s {tmp_path / "secret"} out; mkfifo pipe'
    init = {"name": "i", "image": "busybox", "command": ["sh", "-c", script], "volumeMounts": [mount("e", "/e")]}
    names = {"A": "env", "B": "link", "C": "out", "D": "pipe", "E": "none"}
    env = {"env": [variable(name, path) for name, path in names.items()]}
    async with Cluster(serve=False, runtime=runtime) as cluster:
        body = pod("p", "echo $A $B ${C-no} ${D-no} ${E-no}", [], [{"name": "e", "emptyDir": {}}], env)
        assert await run(cluster, {**body, "spec": {**body["spec"], "initContainers": [init]}}) == ["one one no no no"]


@pytest.mark.parametrize("policy", ["Always", "OnRootMismatch"])
async def test_volumes_are_for_a_group(runtime: Any, policy: str) -> None:
    """With fsGroup files and directories are open to their group, new ones inherit it, secrets stay unwritable."""
    volumes = [
        {"name": "e", "emptyDir": {}},
        {"name": "s", "secret": {"secretName": "s", "defaultMode": 0o400}},
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
    ]
    context = {"fsGroup": os.getgid(), "fsGroupChangePolicy": policy, "supplementalGroups": [7]}
    script = "mkdir e/d; stat -L -c %a e e/d s/k t/token s"
    async with Cluster(serve=False, runtime=runtime) as cluster:
        await cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": ""}})
        body = pod("p", script, [mount(name, f"/{name}") for name in "est"], volumes, securityContext=context)
        assert await run(cluster, body) == ["2777", "2755", "440", "640", "2755"]


async def test_waiting_is_not_for_ever_silent(runtime: Any) -> None:
    """A container says what it waits for while its volumes are missing."""
    async with Cluster(serve=False, runtime=runtime) as cluster:
        await cluster.apply(pod("p", "", [mount("c", "/c")], [CONFIG]))
        seen = await cluster.wait_for(PODS, "p", lambda pod: bool(waiting(pod)))
        assert waiting(seen) == {"reason": "ContainerCreating"}


async def test_a_pod_that_takes_too_much_is_evicted(runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a volume's limit or its container's, for what it writes or says: Failed, with upstream's words, and nobody
    else's fault is told; a pod within its limits goes on."""
    monkeypatch.setattr(storage, "SYNC_SECONDS", 0.2)
    volumes = [{"name": "e", "emptyDir": {"sizeLimit": "1Mi"}}, {"name": "m", "emptyDir": {"medium": "Memory"}}]
    limited = {"resources": {"limits": {"ephemeral-storage": "1Mi"}}}
    fill = "dd if=/dev/zero of={}/big bs=1M count=3 2> /dev/null; sleep 1000"
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "volume": (
            pod("volume", fill.format("e"), [mount("e", "/e")], volumes),
            'Usage of EmptyDir volume "e" exceeds the limit "1Mi". ',
        ),
        "files": (
            pod("files", fill.format("$MINIK8S_ROOT/tmp"), [], [], limited),
            "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ",
        ),
        "logs": (
            pod("logs", "yes | head -c 3000000; sleep 1000", [], [], limited),
            "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ",
        ),
    }
    async with Cluster(serve=False, runtime=runtime) as cluster:
        await cluster.apply(pod("fine", fill.format("m"), [mount("m", "/m")], volumes, limited))
        for name, (body, text) in cases.items():
            await cluster.apply(body)
            last = await cluster.wait_for(PODS, name, ended)
            status = last["status"]
            assert (status["phase"], status["reason"], status["message"]) == ("Failed", "Evicted", text)
            assert "DisruptionTarget" not in {condition["type"] for condition in status["conditions"]}
            assert await event(cluster, name, "Evicted", "") == text
        fine = await cluster.client.get(PODS, "fine", namespace="default")
        assert fine["status"]["phase"] == "Running"
