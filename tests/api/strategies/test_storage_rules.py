"""Storage: volumes, claims, classes, CSI objects; every mistake by its path and upstream's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource
from minik8s.api.strategies import strategy_for
from minik8s.machinery.names import dns1123_subdomain, qualified_name
from tests.api.conftest import made, texts

EXACTLY_ONE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


def volume(**spec: Any) -> dict[str, Any]:
    source = {} if {"csi", "nfs", "local", "scaleIO", "iscsi"} & spec.keys() else {"hostPath": {"path": "/a"}}
    return {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], **source, **spec}}


def claim(**spec: Any) -> dict[str, Any]:
    return {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}}


def csi_class(**fields: Any) -> dict[str, Any]:
    return {"provisioner": "example.com/x", **fields}


def attachment(**source: Any) -> dict[str, Any]:
    return {"spec": {"attacher": "a", "nodeName": "n", "source": source}}


CASES: list[tuple[Resource[Any], dict[str, Any], list[str]]] = [
    (r.PERSISTENT_VOLUMES, volume(nfs={"server": "", "path": "a"}), [
        "spec.nfs.server: Required value", 'spec.nfs.path: Invalid value: "a": must be an absolute path',
    ]),
    (r.PERSISTENT_VOLUMES, volume(csi={"driver": "", "nodeStageSecretRef": {"name": "s"}}), [
        "spec.csi.driver: Required value", "spec.csi.volumeHandle: Required value",
        "spec.csi.nodeStageSecretRef.namespace: Required value",
    ]),
    (r.PERSISTENT_VOLUMES, volume(csi={"driver": "d", "volumeHandle": "h"}, nfs={}),
     ["spec.nfs.server: Required value", "spec.nfs.path: Required value",
      'spec.nfs.path: Invalid value: "": must be an absolute path',
      "spec.csi: Forbidden: may not specify more than 1 volume type"]),
    (r.PERSISTENT_VOLUMES, volume(local={"path": "a/../b"}), [
        "spec.local.path: Invalid value: \"a/../b\": must not contain '..'",
        "spec.nodeAffinity: Required value: Local volume requires node affinity",
    ]),
    (r.PERSISTENT_VOLUMES, volume(nodeAffinity={}),
     ["spec.nodeAffinity.required: Required value: must specify required node constraints"]),
    (r.PERSISTENT_VOLUMES, volume(hostPath={"path": "/"}, persistentVolumeReclaimPolicy="Recycle"), [
        "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"
    ]),
    (r.PERSISTENT_VOLUMES, volume(volumeAttributesClassName=""), [
        "spec.volumeAttributesClassName: Required value: an empty string is disallowed",
        "spec.csi: Required value: has to be specified when using volumeAttributesClassName",
    ]),
    (r.PERSISTENT_VOLUME_CLAIMS, claim(dataSourceRef={"name": "", "kind": "Foo"}), [
        "spec.dataSource.name: Required value", 'spec.dataSource: Invalid value: "Foo": ',
        "spec.dataSourceRef.name: Required value", 'spec.dataSourceRef: Invalid value: "Foo": ',
    ]),
    (r.PERSISTENT_VOLUME_CLAIMS, claim(
        dataSource={"kind": "PersistentVolumeClaim", "name": "a"},
        dataSourceRef={"kind": "PersistentVolumeClaim", "name": "b"},
    ), ['spec: Invalid value: "": must match dataSourceRef']),
    (r.STORAGE_CLASSES, csi_class(provisioner="A b"),
     [f'provisioner: Invalid value: "A b": {text}' for text in qualified_name("a b")]),
    (r.STORAGE_CLASSES, csi_class(
        parameters={"": "x"},
        allowedTopologies=[{"matchLabelExpressions": [{"key": "z"}, {"key": "z", "values": ["a", "a"]}]}],
    ), [
        'parameters: Invalid value: "": field can not be empty.',
        "allowedTopologies[0].matchLabelExpressions[0].values: Required value",
        'allowedTopologies[0].matchLabelExpressions[1].values[1]: Duplicate value: "a"',
        'allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: "z"',
    ]),
    (r.STORAGE_CLASSES, csi_class(parameters={str(n): "" for n in range(513)}),
     ["parameters: Too long: may not be more than 512 bytes"]),
    (r.CSI_DRIVERS, {"metadata": {"name": "a" * 64}, "spec": {}}, ["name: Too long: may not be more than 63 bytes"]),
    (r.CSI_DRIVERS, {"spec": {
        "fsGroupPolicy": "Foo",
        "tokenRequests": [{"audience": "a", "expirationSeconds": 5}, {"audience": "a", "expirationSeconds": 2**33}],
        "volumeLifecycleModes": ["Foo"],
        "nodeAllocatableUpdatePeriodSeconds": 1,
    }}, [
        'spec.fsGroupPolicy: Unsupported value: "Foo": supported values: "File", "None", "ReadWriteOnceWithFSType"',
        "spec.tokenRequests[0].expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes",
        'spec.tokenRequests[1].audience: Duplicate value: "a"',
        "spec.tokenRequests[1].expirationSeconds: Invalid value: 8589934592: may not specify a duration larger than "
        "2^32 seconds",
        'spec.volumeLifecycleModes: Unsupported value: "Foo": supported values: "Ephemeral", "Persistent"',
        "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 1: must be greater than or equal to 10 seconds",
    ]),
    (r.CSI_NODES, {"spec": {"drivers": [
        {"name": "d", "nodeID": "", "topologyKeys": ["", "k", "k"]},
        {"name": "d", "nodeID": "n" * 193, "allocatable": {"count": -1}},
    ]}}, [
        "spec.drivers[0].nodeID: Required value",
        "spec.drivers[0].topologyKeys: Required value",
        'spec.drivers[0].topologyKeys: Duplicate value: "k"',
        f'spec.drivers[1].nodeID: Invalid value: "{"n" * 193}": must be 192 characters or less',
        "spec.drivers[1].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
        'spec.drivers[1].name: Duplicate value: "d"',
    ]),
    (r.CSI_STORAGE_CAPACITIES, {"storageClassName": "", "capacity": "-1"}, [
        f'storageClassName: Invalid value: "": {dns1123_subdomain("")[0]}',
        'capacity: Invalid value: "-1": must be greater than or equal to 0',
    ]),
    (r.VOLUME_ATTACHMENTS, {"spec": {"attacher": "", "nodeName": "A", "source": {}}}, [
        "spec.attacher: Required value", f"spec.source: Required value: {EXACTLY_ONE}",
        f'spec.nodeName: Invalid value: "A": {dns1123_subdomain("A")[0]}',
    ]),
    (r.VOLUME_ATTACHMENTS, attachment(persistentVolumeName="v", inlineVolumeSpec={}),
     [f"spec.source: Forbidden: {EXACTLY_ONE}"]),
    (r.VOLUME_ATTACHMENTS, attachment(persistentVolumeName=""),
     ["spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName"]),
    (r.VOLUME_ATTACHMENTS, attachment(inlineVolumeSpec={"capacity": {"storage": "1"}, "accessModes": ["Foo"]}), [
        'spec.source.inlineVolumeSpec.accessModes: Unsupported value: "Foo": supported values: "ReadOnlyMany", '
        '"ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
        "spec.source.inlineVolumeSpec: Required value: must specify a volume type",
    ]),
    (r.VOLUME_ATTRIBUTES_CLASSES, {"driverName": ""}, [
        "driverName: Required value", "parameters: Required value: must contain at least one key/value pair",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "doc", "expected"), CASES, ids=range(len(CASES)))
def test_texts(
    errors_of: Callable[..., list[str]], resource: Resource[Any], doc: dict[str, Any], expected: list[str]
) -> None:
    """Each mistake is reported at its path in upstream's words, and nothing else is."""
    assert errors_of(resource, doc) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"dataSource": {"kind": "PersistentVolumeClaim", "name": "a"}}, {"dataSource", "dataSourceRef"}),
        ({"dataSourceRef": {"apiGroup": "e.io", "kind": "Foo", "name": "a"}}, {"dataSource", "dataSourceRef"}),
        ({"dataSourceRef": {"kind": "X", "name": "a", "namespace": "n"}}, {"dataSourceRef"}),
        ({"dataSource": {"kind": "Foo", "name": "a"}}, set()),
    ],
)
def test_sources_of_claims(given: dict[str, Any], expected: set[str]) -> None:
    """The two fields say the same thing; what the older one never could say is dropped from it."""
    spec = made(r.PERSISTENT_VOLUME_CLAIMS, claim(**given))["spec"]
    assert {key for key in spec if key.startswith("dataSource")} == expected


BOUND = {"status": {"phase": "Bound"}}


def test_bound_claims() -> None:
    """A bound claim grows by its requests only, and does not lose its attributes class."""
    strategy = strategy_for(r.PERSISTENT_VOLUME_CLAIMS)
    old = {**made(r.PERSISTENT_VOLUME_CLAIMS, claim(volumeAttributesClassName="gold")), **BOUND}

    def errors(**spec: Any) -> list[str]:
        return texts(strategy.validate_update({**old, "spec": {**old["spec"], **spec}}, old))

    assert errors(resources={"requests": {"storage": "2Gi"}}) == []
    assert errors(volumeAttributesClassName="silver") == []
    assert errors(volumeAttributesClassName=None) == [
        "spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"
    ]
    (refused,) = errors(resources={"requests": {"storage": "1Gi"}, "limits": {"storage": "2Gi"}})
    assert refused.startswith("spec: Forbidden: spec is immutable after creation")


@pytest.mark.parametrize(
    ("resource", "doc", "expected"),
    [
        (r.PERSISTENT_VOLUME_CLAIMS, claim(resources={"requests": {"storage": "500m"}}),
         ['spec.resources.requests[storage]: fractional byte value "500m" is invalid, must be an integer']),
        (r.PERSISTENT_VOLUMES, volume(persistentVolumeReclaimPolicy="Recycle"),
         ["spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
          "approach is to use dynamic provisioning."]),
        (r.PERSISTENT_VOLUMES, volume(), []),
    ],
)  # fmt: skip
def test_warnings(resource: Resource[Any], doc: dict[str, Any], expected: list[str]) -> None:
    """What is legal and probably not meant."""
    assert strategy_for(resource).warnings(made(resource, doc), None) == expected
