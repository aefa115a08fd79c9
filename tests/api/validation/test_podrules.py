"""Rules of pods that few meet: other people's volumes, other systems, restart rules, pod-level resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api.resources import PODS
from minik8s.api.strategies import strategy_for
from minik8s.machinery.names import dns1123_subdomain, qualified_name
from tests.api.conftest import made, texts
from tests.api.validation.test_podspec import CONTAINER, container, env, pod, volume

V = "spec.volumes[0]"
C = "spec.containers[0]"
BYTE = "must be between 1 and 255, inclusive"
WINDOWS = "cannot be set for a windows pod"
TERM = {"topologyKey": "z", "labelSelector": {"matchLabels": {"a": "b"}}}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def affine(**term: Any) -> dict[str, Any]:
    return pod(affinity={"podAffinity": {REQUIRED: [{**TERM, **term}]}})


def windows(**context: Any) -> dict[str, Any]:
    return pod(os={"name": "windows"}, securityContext=context)


def claiming(*claims: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return pod(containers=[{**CONTAINER, "resources": {"claims": list(claims)}}], **spec)


CASES: list[tuple[dict[str, Any], list[str]]] = [
    (volume(gitRepo={"directory": "../x"}), [
        f"{V}.gitRepo.repository: Required value",
        f"{V}.gitRepo.directory: Invalid value: \"../x\": must not contain '..'",
    ]),
    (volume(gcePersistentDisk={"pdName": "d", "partition": 256}),
     [f"{V}.gcePersistentDisk.partition: Invalid value: 256: {BYTE}"]),
    (volume(awsElasticBlockStore={"volumeID": ""}), [f"{V}.awsElasticBlockStore.volumeID: Required value"]),
    (volume(nfs={"server": "s", "path": "p"}), [f'{V}.nfs.path: Invalid value: "p": must be an absolute path']),
    (volume(iscsi={"targetPortal": "", "iqn": "x", "lun": 300, "chapAuthSession": True}), [
        f"{V}.iscsi.targetPortal: Required value",
        f'{V}.iscsi.iqn: Invalid value: "x": must be valid format starting with iqn, eui, or naa',
        f"{V}.iscsi.lun: Invalid value: 300: must be between 0 and 255, inclusive",
        f"{V}.iscsi.secretRef: Required value",
    ]),
    (volume(glusterfs={}), [f"{V}.glusterfs.endpoints: Required value", f"{V}.glusterfs.path: Required value"]),
    (volume(flocker={"datasetName": "a/b", "datasetUUID": "u"}), [
        f'{V}.flocker: Invalid value: "resource": datasetName and datasetUUID can not be specified simultaneously',
        f"{V}.flocker.datasetName: Invalid value: \"a/b\": must not contain '/'",
    ]),
    (volume(rbd={}), [f"{V}.rbd.monitors: Required value", f"{V}.rbd.image: Required value"]),
    (volume(quobyte={"registry": "x", "volume": "v"}),
     [f'{V}.quobyte.registry: Invalid value: "x": must be a host:port pair or multiple pairs separated by commas']),
    (volume(fc={"targetWWNs": ["a"]}), [f"{V}.fc.lun: Required value: lun is required if targetWWNs is specified"]),
    (volume(fc={}), [f"{V}.fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both"]),
    (volume(flexVolume={"driver": "", "options": {"kubernetes.io/x": "y"}}), [
        f"{V}.flexVolume.driver: Required value",
        f'{V}.flexVolume.options[kubernetes.io/x]: Invalid value: "kubernetes.io/x": kubernetes.io and k8s.io '
        "namespaces are reserved",
    ]),
    (volume(azureDisk={"diskName": "d", "diskURI": "u", "kind": "Foo"}),
     [f'{V}.azureDisk.kind: Unsupported value: "Foo": supported values: "Dedicated", "Managed", "Shared"']),
    (volume(csi={"driver": "", "nodePublishSecretRef": {}}), [
        f"{V}.csi.driver: Required value", f"{V}.csi.nodePublishSecretRef.name: Required value",
    ]),
    (volume(image={"reference": "i", "pullPolicy": "Foo"}), [
        f'{V}.image.pullPolicy: Unsupported value: "Foo": supported values: "Always", "IfNotPresent", "Never"'
    ]),
    (volume(secret={"secretName": "s"}, nfs={}),
     [f"{V}.nfs: Forbidden: may not specify more than 1 volume type"]),
    (container(restartPolicyRules=[{"action": "Restart"}]), [
        f"{C}.restartPolicy: Required value: must specify restartPolicy when restart rules are used",
        f"{C}.restartPolicyRules[0].exitCodes: Required value: must be specified",
    ]),
    (container(restartPolicy="Never", restartPolicyRules=[
        {"action": "Restart", "exitCodes": {"operator": "In", "values": [42, 42]}}, {"action": "Foo", "exitCodes": {}},
    ]), [
        f"{C}.restartPolicyRules[0].exitCodes.values[1]: Duplicate value: 42",
        f'{C}.restartPolicyRules[1].action: Unsupported value: "Foo": supported values: "Restart", '
        '"RestartAllContainers"',
        f"{C}.restartPolicyRules[1].exitCodes.operator: Required value",
    ]),
    (container(restartPolicy="Foo"),
     [f'{C}.restartPolicy: Unsupported value: "Foo": supported values: "Always", "Never", "OnFailure"']),
    (env(valueFrom={"fileKeyRef": {"volumeName": "v", "path": "/a", "key": "K"}}), [
        f'{C}.env[0].valueFrom.fileKeyRef.path: Invalid value: "/a": must be a relative path',
        f'{C}.env[0].valueFrom.fileKeyRef.volumeName: Not found: "v"',
    ]),
    (claiming({"name": "x"}), [
        f'{C}.resources.claims[0]: Not found: "x": must be one of the names in pod.spec.resourceClaims which is empty'
    ]),
    (claiming({"name": "x"}, {"name": "x"}, {"name": "y"}, resourceClaims=[{"name": "x", "resourceClaimName": "A"}]), [
        f'spec.resourceClaims[0].resourceClaimName: Invalid value: "A": {dns1123_subdomain("A")[0]}',
        f'{C}.resources.claims[1]: Duplicate value: "x"',
        f'{C}.resources.claims[2]: Not found: "y": must be one of the names in pod.spec.resourceClaims: x',
    ]),
    (pod(resources={"requests": {"cpu": "1"}},
         containers=[{**CONTAINER, "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "2Gi"}}}]),
     ['spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests '
      "of 2"]),
    (pod(resources={"limits": {"memory": "1Gi"}},
         containers=[{**CONTAINER, "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}}]),
     ['spec.resources.containers[0][memory].limits: Invalid value: "2Gi": must be less than or equal to pod limits of '
      "1Gi"]),
    (container(securityContext={"procMount": "Unmasked"}),
     [f'{C}.securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`']),
    (pod(hostUsers=False, containers=[{**CONTAINER, "securityContext": {"procMount": "Unmasked"}}]), []),
    (pod(os={"name": "linux"}, securityContext={"windowsOptions": {"runAsUserName": ""}}), [
        'spec.securityContext.windowsOptions.runAsUserName: Invalid value: "": runAsUserName cannot be an empty string',
        "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod",
    ]),
    (windows(runAsUser=1, fsGroup=2), [
        f"spec.securityContext.fsGroup: Forbidden: {WINDOWS}", f"spec.securityContext.runAsUser: Forbidden: {WINDOWS}",
    ]),
    (pod(os={"name": "windows"}, hostPID=True, shareProcessNamespace=False,
         containers=[{**CONTAINER, "securityContext": {"privileged": False}}]), [
        f"spec.hostPID: Forbidden: {WINDOWS}", f"spec.shareProcessNamespace: Forbidden: {WINDOWS}",
        f"{C}.securityContext.privileged: Forbidden: {WINDOWS}",
    ]),
    (pod(os={"name": "plan9"}),
     ['spec.os.name: Unsupported value: "plan9": supported values: "linux", "windows"']),
    (container(securityContext={"windowsOptions": {"hostProcess": True}}), [
        "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers"
    ]),
    (pod(hostnameOverride="a" * 65, setHostnameAsFQDN=True, hostNetwork=True), [
        "spec.hostnameOverride: Too long: may not be more than 64 bytes",
        "spec.hostnameOverride: Forbidden: must not be set when `setHostnameAsFQDN` is true",
        "spec.hostnameOverride: Forbidden: must not be set when `hostNetwork` is true",
    ]),
    (affine(matchLabelKeys=["a"], mismatchLabelKeys=["a", "-"]), [
        f'spec.affinity.podAffinity.{REQUIRED}[0].mismatchLabelKeys[1]: Invalid value: "-": {qualified_name("-")[0]}',
        f'spec.affinity.podAffinity.{REQUIRED}[0].matchLabelKeys[0]: Invalid value: "a": exists in both matchLabelKeys '
        "and mismatchLabelKeys",
    ]),
    (pod(topologySpreadConstraints=[
        {"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["a"]}
    ]), [
        "spec.topologySpreadConstraints[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not "
        "set"
    ]),
    ({**pod(), "metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "1.5"}}}, [
        'metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "1.5": must be a 32bit '
        "integer"
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("doc", "expected"), CASES, ids=range(len(CASES)))
def test_texts(errors_of: Callable[..., list[str]], doc: dict[str, Any], expected: list[str]) -> None:
    """Each mistake is reported at its path in upstream's words, and nothing else is."""
    assert errors_of(PODS, doc) == expected


def test_selectors_take_values_from_labels() -> None:
    """matchLabelKeys and mismatchLabelKeys become expressions when the pod is created; unknown labels none."""
    doc = affine(matchLabelKeys=["hash", "none"], mismatchLabelKeys=["tenant"])
    doc["metadata"] = {"name": "v", "labels": {"hash": "h", "tenant": "t"}}
    spread = {"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
    doc["spec"]["topologySpreadConstraints"] = [{**spread, "matchLabelKeys": ["hash"]}]
    stored = made(PODS, doc)["spec"]
    is_hash = {"key": "hash", "operator": "In", "values": ["h"]}
    expressions = stored["affinity"]["podAffinity"][REQUIRED][0]["labelSelector"]["matchExpressions"]
    assert expressions == [is_hash, {"key": "tenant", "operator": "NotIn", "values": ["t"]}]
    assert stored["topologySpreadConstraints"][0]["labelSelector"]["matchExpressions"] == [is_hash]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "::1"}]}, []),
        (
            {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}]},
            [
                'status.podIPs: Invalid value: [{"ip":"10.0.0.1"},{"ip":"10.0.0.1"}]: may specify no more than one IP '
                "for each IP family",
                'status.podIPs[1]: Duplicate value: {"ip":"10.0.0.1"}',
            ],
        ),
        (
            {"hostIPs": [{"ip": "10.0.0.1"}], "hostIP": "10.0.0.2"},
            ['status.hostIPs[0].ip: Invalid value: "10.0.0.1": must be equal to `hostIP`'],
        ),
        (
            {"resourceClaimStatuses": [{"name": "x"}]},
            [
                'status.resourceClaimStatuses[0].name: Invalid value: "x": must match the name of an entry in '
                "`spec.resourceClaims`"
            ],
        ),
    ],
)
def test_status(status: dict[str, Any], expected: list[str]) -> None:
    """What a kubelet may say about addresses and claims."""
    old = made(PODS, pod())
    new = {**old, "status": {**old["status"], **status}}
    assert texts(strategy_for(PODS).validate_status_update(new, old)) == expected
