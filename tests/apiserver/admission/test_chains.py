"""Which plugins are asked about a write."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from minik8s.api.resources import BUILTIN
from minik8s.apiserver.admission import BUILTIN_PLUGINS, AdmissionPlugin, builtin_plugins
from minik8s.apiserver.admission.chains import Chains


@pytest.fixture
def chains() -> Chains:
    return Chains(builtin_plugins(Random(1)))


def _names(plugins: Sequence[AdmissionPlugin]) -> list[str]:
    return [plugin.name for plugin in plugins]


def test_a_resource_passes_the_plugins_that_are_about_it(chains: Chains) -> None:
    """They are asked in the order of the whole chain, each at the points at which it has something to say."""
    pods = chains.of("pods")

    assert _names(pods.mutating) == [
        "NamespaceLifecycle",
        "LimitRanger",
        "ServiceAccount",
        "NodeRestriction",
        "Priority",
        "DefaultTolerationSeconds",
        "RuntimeClass",
        "PodTopologyLabels",
    ]
    assert _names(pods.validating) == ["LimitRanger", "PodSecurity", "Priority"]
    assert _names(pods.counting) == ["ResourceQuota"]


def test_what_no_plugin_names_shares_one_chain(chains: Chains) -> None:
    """Custom resources come and go and leave nothing behind; they pass what is about everything."""
    others = chains.of("configmaps")

    assert _names([*others.mutating, *others.validating, *others.counting]) == [
        "NamespaceLifecycle",
        "NodeRestriction",
        "ResourceQuota",
    ]
    assert chains.of("foos.example.com") is others


def test_plugins_name_resources_that_there_are() -> None:
    """A misspelt name would silence a plugin."""
    known = {resource.group_resource for resource in BUILTIN}

    assert {name for plugin in BUILTIN_PLUGINS for name in plugin.resources or ()} <= known
