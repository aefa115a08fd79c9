"""The names of controllers: every one of kube-controller-manager 1.36, of today and of before, is known."""

from __future__ import annotations

import pytest

from minik8s.config import ClusterConfig
from minik8s.controllernames import ALL_CONTROLLERS, DEFAULT_CONTROLLERS, short
from minik8s.controllers import CONTROLLERS

NAMES = """
bootstrap-signer-controller certificatesigningrequest-approving-controller certificatesigningrequest-cleaner-controller
certificatesigningrequest-signing-controller cloud-node-lifecycle-controller clusterrole-aggregation-controller
cronjob-controller daemonset-controller deployment-controller device-taint-eviction-controller disruption-controller
endpoints-controller endpointslice-controller endpointslice-mirroring-controller ephemeral-volume-controller
garbage-collector-controller horizontal-pod-autoscaler-controller job-controller
kube-apiserver-serving-clustertrustbundle-publisher-controller legacy-serviceaccount-token-cleaner-controller
namespace-controller node-ipam-controller node-lifecycle-controller node-route-controller
persistentvolume-attach-detach-controller persistentvolume-binder-controller persistentvolume-expander-controller
persistentvolume-protection-controller persistentvolumeclaim-protection-controller pod-garbage-collector-controller
podcertificaterequest-cleaner-controller podgroup-protection-controller replicaset-controller
replicationcontroller-controller resourceclaim-controller resourcepoolstatusrequest-controller resourcequota-controller
root-ca-certificate-publisher-controller selinux-warning-controller service-cidr-controller service-lb-controller
serviceaccount-controller serviceaccount-token-controller statefulset-controller storage-version-migrator-controller
storageversion-garbage-collector-controller taint-eviction-controller token-cleaner-controller
ttl-after-finished-controller ttl-controller validatingadmissionpolicy-status-controller
volumeattributesclass-protection-controller
"""
UPSTREAM = NAMES.split()


def _refusal(name: str) -> str:
    try:
        short(name)
    except ValueError as error:
        return str(error)
    return ""


def test_every_name_of_upstream_is_known() -> None:
    """A name means a controller of ours, or is refused with a reason; each of ours but the provisioner has one."""
    refused = {name: why for name in UPSTREAM if (why := _refusal(name))}
    assert not [name for name, why in refused.items() if "unknown" in why]
    ours = {short(name) for name in UPSTREAM if name not in refused}
    assert set(ALL_CONTROLLERS) - ours == {"hostpath-provisioner"}
    assert set(CONTROLLERS) == set(ALL_CONTROLLERS)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("pvc-protection", "persistentvolumeclaim-protection"), ("service", "service-lb"), ("podgc", "podgc")],
)
def test_old_names(name: str, meant: str) -> None:
    """The names of before 1.28 are still taken."""
    assert ClusterConfig(controllers=[name]).controllers == (meant,)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], ()),
        (["*"], DEFAULT_CONTROLLERS),
        (["*", "tokencleaner"], ("tokencleaner", *DEFAULT_CONTROLLERS)),
        (["-job-controller", "*"], tuple(name for name in DEFAULT_CONTROLLERS if name != "job")),
        (["-job"], ()),
        (["job", "-job"], ("job",)),
        (["-job", "job", "cronjob"], ("cronjob",)),
    ],
)
def test_lists_as_of_the_command_line(words: list[str], meant: tuple[str, ...]) -> None:
    """`*` and `-name` work in Python as on the command line; of a name the first word counts, as upstream."""
    assert sorted(ClusterConfig(controllers=words).controllers) == sorted(meant)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["jobs"], "'controllers': unknown controller 'jobs'"),
        (["*", "-jobs"], "'controllers': unknown controller 'jobs'"),
        (["nodeipam"], "'nodeipam' is not needed"),
        (["persistentvolume-expander"], "hostpath-provisioner lets its volumes grow"),
        ("job", "a sequence of names, .* not 'job'"),
        ([3], r"'controllers' must be a sequence of names, .*, not \[3\]"),
        (None, r"'controllers' must be a sequence of names, .*; \(\) for none, not None"),
        ({"job": True}, r"'controllers' must be a sequence of names, .*, not \{'job': True\}"),
    ],
)
def test_names_that_are_none(names: object, says: str) -> None:
    """What there is not is refused by name, with the reason if upstream has it; and what is no list of names."""
    with pytest.raises(ValueError, match=says):
        ClusterConfig(controllers=names)
