"""How volumes are mounted, claims that cannot be, and images as volumes, in both runtimes with real processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from minik8s import EVENTS, PODS, Cluster
from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS
from tests.e2e.volumepods import RUNTIMES, SANDBOX, config_map, event, log, mount, pod, refused, run
from tests.kubelet.runtime.oci.building import Image, docker_archive, file, layer, layout, link

pytestmark = [pytest.mark.anyio]
HAS_MEMORY = os.path.ismount("/dev/shm")


def volume(name: str, **spec: Any) -> dict[str, Any]:
    fields = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand"}
    kind = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
    return {**kind, "spec": {**fields, **spec}}


def claim(name: str, volume: str, **spec: Any) -> dict[str, Any]:
    resources = {"requests": {"storage": "1Gi"}}
    fields = {"accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand", "volumeName": volume}
    kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}}
    return {**kind, "spec": {**fields, "resources": resources, **spec}}


def on(node: str) -> dict[str, Any]:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


@RUNTIMES
async def test_claims_that_cannot_be_mounted(runtime: Any, tmp_path: Path) -> None:
    """On a node that was chosen by hand each says what is wrong, in upstream's words."""
    here = {"local": {"path": str(tmp_path)}, "nodeAffinity": on("node-1")}
    volumes = {
        "nowhere": {**here, "local": {"path": str(tmp_path / "none")}},
        "elsewhere": {**here, "nodeAffinity": on("node-9")},
        "block": {**here, "volumeMode": "Block"},
        "remote": {"nfs": {"server": "x", "path": "/"}},
    }
    expected = {
        "unbound": (
            "FailedMount",
            "Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], "
            "failed to process volumes=[v]: error processing PVC default/unbound: PVC is not bound",
        ),
        "gone": (
            "FailedMount",
            "Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], failed to process "
            "volumes=[v]: error processing PVC default/gone: failed to fetch PVC from API server: "
            'persistentvolumeclaims "gone" not found',
        ),
        "nowhere": (
            "FailedMount",
            'MountVolume.NewMounter initialization failed for volume "nowhere" : '
            f'path "{tmp_path / "none"}" does not exist',
        ),
        "elsewhere": (
            "FailedMount",
            'MountVolume.NodeAffinity check failed for volume "elsewhere" : no matching NodeSelectorTerms',
        ),
        "block": (
            "FailedMount",
            "Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], "
            "failed to process volumes=[v]: volume v has volumeMode Block, but is specified in volumeMounts",
        ),
        "remote": ("FailedMount", 'MountVolume.SetUp failed for volume "remote" : no volume plugin matched'),
    }
    async with Cluster(serve=False, runtime=runtime) as cluster:
        for name, spec in volumes.items():
            mode = {"volumeMode": "Block"} if name == "block" else {}
            await cluster.apply([volume(name, **spec), claim(name, name, **mode)])
            await cluster.wait_for(PERSISTENT_VOLUME_CLAIMS, name, lambda c: c["status"].get("phase") == "Bound")
        await cluster.apply(claim("unbound", "not-there"))
        for name, (reason, text) in expected.items():
            source = {"name": "v", "persistentVolumeClaim": {"claimName": name}}
            await cluster.apply(pod(name, "", [mount("v", "/v")], [source], nodeName="node-1"))
            assert await event(cluster, name, reason, "") == text
        source = {"name": "v", "persistentVolumeClaim": {"claimName": "block"}}
        devices = {"volumeDevices": [{"name": "v", "devicePath": "/dev/x"}]}
        await cluster.apply(pod("device", "", [], [source], devices, nodeName="node-1"))
        text = await event(cluster, "device", "FailedMapVolume", "")
        assert text.startswith('MapVolume.SetUpDevice failed for volume "block" : block volumes are not supported')


@RUNTIMES
async def test_a_local_volume(runtime: Any, tmp_path: Path) -> None:
    """It is used where it lies, is for the pod's group, and a claim may be for reading only."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("kept\n")
    (tmp_path / "data" / "file").chmod(0o600)
    spec = {"local": {"path": str(tmp_path / "data")}, "nodeAffinity": on("node-1")}
    async with Cluster(serve=False, runtime=runtime) as cluster:
        await cluster.apply([volume("v", **spec), claim("c", "v")])
        await cluster.wait_for(PERSISTENT_VOLUME_CLAIMS, "c", lambda c: c["status"].get("phase") == "Bound")
        source = {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}
        context = {"fsGroup": os.getgid()}
        body = pod("p", "cat v/file; stat -L -c %a v v/file", [mount("v", "/v")], [source], securityContext=context)
        assert await run(cluster, body) == ["kept", "2775", "660"]
        if runtime == "sandbox":
            source = {"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}}
            lines = await run(cluster, pod("r", "touch v/x 2>&1 || true", [mount("v", "/v")], [source]))
            assert "Read-only file system" in lines[0]
            assert not (tmp_path / "data" / "x").exists()


@pytest.mark.parametrize("runtime", [SANDBOX])
async def test_what_takes_no_writes(runtime: Any, tmp_path: Path) -> None:
    """A volume of configuration is read-only whatever the mount says, another one where the mount says so; what lies
    mounted below takes writes all the same, unless recursiveReadOnly is wanted."""
    below = anyio.Path("/dev/shm", f"minik8s-test-{os.getpid()}")
    volumes = [
        {"name": "c", "configMap": {"name": "m"}},
        {"name": "h", "hostPath": {"path": str(tmp_path)}},
        {"name": "dev", "hostPath": {"path": "/dev"}},
    ]
    mounts = [
        mount("c", "/c"),
        mount("h", "/w"),
        mount("h", "/r", readOnly=True),
        mount("dev", "/some", readOnly=True),
        mount("dev", "/all", readOnly=True, recursiveReadOnly="Enabled"),
        mount("dev", "/maybe", readOnly=True, recursiveReadOnly="IfPossible"),
    ]
    places = ["c", "w", "r", "some/shm", "all/shm", "maybe/shm"]
    script = f"for d in {' '.join(places)}; do touch $d/{below.name} 2> /dev/null && echo $d; done; true"
    async with Cluster(serve=False, runtime=runtime) as cluster:
        await cluster.apply(config_map("m", a=""))
        try:
            wrote = await run(cluster, pod("p", script, mounts, volumes))
        finally:
            await below.unlink(missing_ok=True)
        assert wrote == (["w", "some/shm"] if HAS_MEMORY else ["w"])
        last = await cluster.client.get(PODS, "p", namespace="default")
        shown = {
            m["mountPath"]: m.get("recursiveReadOnly") for m in last["status"]["containerStatuses"][0]["volumeMounts"]
        }
        assert shown == {
            "/c": None,
            "/w": None,
            "/r": "Disabled",
            "/some": "Disabled",
            "/all": "Enabled",
            "/maybe": "Enabled",
            "/var/run/secrets/kubernetes.io/serviceaccount": "Disabled",
        }
        body = pod("b", "", [mount("h", "/h", mountPropagation="Bidirectional")], volumes)
        body["spec"]["containers"][0]["securityContext"] = {"privileged": True}
        text = await refused(cluster, body, "CreateContainerError")
        assert text.startswith("mount /h: propagation Bidirectional is not possible without root")
        propagated = [mount("h", "/a", mountPropagation="HostToContainer"), mount("h", "/b", mountPropagation="None")]
        assert len(await run(cluster, pod("a", "ls -d a b", propagated, volumes))) == 2


async def test_recursive_read_only_is_not_pretended(tmp_path: Path) -> None:
    """Plain processes see the machine's own files: the wish is refused where it must be kept, and else not claimed."""
    volumes = [{"name": "h", "hostPath": {"path": str(tmp_path)}}]
    async with Cluster(serve=False) as cluster:
        body = pod("p", "", [mount("h", "/h", readOnly=True, recursiveReadOnly="Enabled")], volumes)
        assert await refused(cluster, body, "CreateContainerConfigError") == (
            'failed to resolve recursive read-only mode: volume "h" requested recursive read-only mode, '
            "but it is not supported by the runtime"
        )
        await run(cluster, pod("q", "", [mount("h", "/h", readOnly=True, recursiveReadOnly="IfPossible")], volumes))
        last = await cluster.client.get(PODS, "q", namespace="default")
        assert last["status"]["containerStatuses"][0]["volumeMounts"][0]["recursiveReadOnly"] == "Disabled"


DATA = Image(
    layers=(
        layer(file("models/a.bin", "a\n"), file("bin/tool", "#!/bin/sh\necho tool\n", mode=0o755)),
        layer(link("current", "models"), link("away", "/etc"), file("models/.wh.none")),
    )
)


@RUNTIMES
async def test_images_as_volumes(runtime: Any, tmp_path: Path) -> None:
    """The files of an image, whole or a directory of them, for several containers, of whom none can write."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "is").write_text("plain\n")
    images = {
        "data": layout(tmp_path / "layout", DATA).root,
        "saved": docker_archive(tmp_path / "saved.tar", {"x:v1": DATA}),
        "plain": tmp_path / "plain",
    }
    volumes = [{"name": name, "image": {"reference": f"{name}:v1"}} for name in images]
    mounts = [
        mount("data", "/data"),
        mount("data", "/models", subPath="current"),
        mount("saved", "/saved"),
        mount("plain", "/plain"),
    ]
    script = "cat data/models/a.bin models/a.bin saved/models/a.bin plain/is; data/bin/tool; ls data; "
    script += '[ "$MINIK8S_ROOT" != / ] && [ `id -u` = 0 ] || touch data/models/x 2> /dev/null || echo closed'
    async with Cluster(serve=False, runtime=runtime, images=images) as cluster:
        body = pod("p", script, mounts, volumes)
        second = {**body["spec"]["containers"][0], "name": "second"}
        body["spec"]["containers"].append(second)
        lines = await run(cluster, body)
        assert lines[:9] == ["a", "a", "a", "plain", "tool", "away", "bin", "current", "models"]
        assert lines[9:] == ["closed"] * (runtime == "sandbox" or os.getuid() != 0)
        assert await log(cluster, "p", "second") == lines
        told = [e for e in (await cluster.client.list(EVENTS, namespace="default")).items if e["reason"] == "Pulled"]
        about = [e for e in told if '"data:v1"' in e["message"]]
        assert [e["involvedObject"].get("fieldPath") for e in about] == [None], "once for the pod, not for a container"


@RUNTIMES
async def test_images_that_are_no_volumes(runtime: Any, tmp_path: Path) -> None:
    """A missing image, a directory that it does not have, a file, and a mount inside: each keeps the container waiting
    with upstream's reason; and a pod needs a reference."""
    images = {"data": layout(tmp_path / "layout", DATA).root}
    async with Cluster(serve=False, runtime=runtime, images=images) as cluster:

        def using(name: str, image: dict[str, Any], *mounts: dict[str, Any]) -> dict[str, Any]:
            volumes = [{"name": "v", "image": image}, {"name": "e", "emptyDir": {}}]
            return pod(name, "ls v", list(mounts) or [mount("v", "/v")], volumes)

        text = await refused(cluster, using("gone", {"reference": "gone"}), "ErrImagePull", "ImagePullBackOff")
        assert "docker.io/library/gone:latest: not found" in text
        text = await refused(cluster, using("never", {"reference": "gone", "pullPolicy": "Never"}), "ErrImageNeverPull")
        assert text == 'Container image "gone" is not present with pull policy of Never'
        text = await refused(cluster, using("odd", {"reference": "NO"}), "InvalidImageName")
        assert "repository name (library/NO) must be lowercase" in text
        text = await refused(cluster, using("tool", {"reference": "busybox"}), "ErrImagePull", "ImagePullBackOff")
        assert text.endswith("it is a command of this machine, and has no files for a volume")
        data = {"reference": "data"}
        text = await refused(cluster, using("deep", data, mount("v", "/v", subPath="none")), "CreateContainerError")
        assert text.startswith('ImageVolumeMountFailed: failed to ensure image subpath "none" in ')
        text = await refused(cluster, using("file", data, mount("v", "/v", subPath="bin/tool")), "CreateContainerError")
        assert 'only directory subpath is supported, subpath: "bin/tool"' in text
        text = await refused(cluster, using("away", data, mount("v", "/v", subPath="away")), "CreateContainerError")
        assert "ImageVolumeMountFailed" in text, "a link leads no further than the image"
        body = using("inner", data, mount("v", "/v"), mount("e", "/v/new"))
        assert "read-only file system" in (await refused(cluster, body, "CreateContainerError")).lower()
        within = using("within", data, mount("v", "/v"), mount("e", "/v/models"))
        assert await run(cluster, within) == ["away", "bin", "current", "models"]


@RUNTIMES
async def test_pull_secrets_that_are_missing(runtime: Any) -> None:
    """They are told of and keep nothing from running: there is no registry that wants them."""
    async with Cluster(serve=False, runtime=runtime) as cluster:
        body = pod("p", "", [], [], imagePullSecrets=[{"name": "b"}, {"name": "a"}])
        await run(cluster, body)
        text = await event(cluster, "p", "FailedToRetrieveImagePullSecret", "")
        assert text == (
            "Unable to retrieve some image pull secrets (a, b); attempting to pull the image may not succeed."
        )
