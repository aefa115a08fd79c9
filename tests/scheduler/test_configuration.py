"""KubeSchedulerConfiguration: what is read from it, what profiles come of it, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from minik8s.machinery.selectors import LabelSelector
from minik8s.scheduler.configuration import load_configuration, parse_configuration
from minik8s.scheduler.devices.inventory import Inventory
from minik8s.scheduler.fields import ConfigurationError
from minik8s.scheduler.framework import FilterPlugin, ScorePlugin
from minik8s.scheduler.options import read_options
from minik8s.scheduler.plugins.podtopologyspread import PodTopologySpread
from minik8s.scheduler.plugins.registry import DEFAULTS, Tools, make
from minik8s.scheduler.profile import Profile
from minik8s.scheduler.profiles import build_profiles

HEAD = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}


class Binder:
    name, local = "Binder", True

    async def bind(self, state: Any, pod: Any, node: Any) -> None:
        return None


class Scorer:
    name, local = "Scorer", True

    def score(self, state: Any, pod: Any, node: Any) -> int:
        return 1


def profile(plugins: Any = None, args: Any = None, more: Any = ()) -> Profile:
    config = parse_configuration({**HEAD, "profiles": [{"plugins": plugins or {}, "pluginConfig": args or []}]})
    (built,) = build_profiles(config.profiles, Tools(devices=Inventory()), [Binder(), *more])
    return built


def names(listed: Any) -> list[str]:
    return [getattr(p, "plugin", p).name for p in listed]


def test_defaults() -> None:
    """Nothing said is upstream's default: one profile, its weights, its times."""
    config = parse_configuration(HEAD)
    assert (config.percentage, config.initial_backoff, config.max_backoff) == (0, 1.0, 10.0)
    assert [p.name for p in config.profiles] == ["default-scheduler"]
    weights = {p.name: weight for p, weight in profile().scores}
    expected = {name: weight for name, weight in DEFAULTS if weight}
    assert weights == expected == {
        "TaintToleration": 3, "NodeAffinity": 2, "NodeResourcesFit": 1, "PodTopologySpread": 2, "InterPodAffinity": 2,
        "DynamicResources": 2, "NodeResourcesBalancedAllocation": 1, "ImageLocality": 1,
    }  # fmt: skip


def test_what_is_disabled_need_not_exist() -> None:
    """As with upstream: a plugin that is not there, or no longer, is disabled already."""
    disabled = [{"name": "EBSLimits"}, {"name": "Nix"}]
    assert names(profile({"filter": {"disabled": disabled}}).filters) == names(profile().filters)


def test_everything_is_read(tmp_path: Path) -> None:
    """A file as one would give it to kube-scheduler."""
    file = tmp_path / "config.yaml"
    file.write_text(
        """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
parallelism: 4
percentageOfNodesToScore: 30
podInitialBackoffSeconds: 2
podMaxBackoffSeconds: 20
clientConnection: {kubeconfig: /x, qps: 50, burst: 100}
leaderElection: {leaderElect: false, leaseDuration: 1m30s, resourceName: mine}
profiles:
- schedulerName: default-scheduler
- schedulerName: packer
  percentageOfNodesToScore: 100
  plugins:
    score:
      disabled: [{name: PodTopologySpread}]
      enabled: [{name: NodeResourcesFit, weight: 5}]
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 3}]}}
"""
    )
    config = load_configuration(file)
    assert (config.percentage, config.initial_backoff, config.max_backoff, config.kubeconfig) == (30, 2, 20, "/x")
    assert config.election == {"leader_elect": False, "lease_duration": 90.0, "name": "mine"}
    assert [(p.name, p.percentage) for p in config.profiles] == [("default-scheduler", None), ("packer", 100)]
    _, packer = build_profiles(config.profiles, Tools(), [Binder()])
    assert {p.name: w for p, w in packer.scores}["NodeResourcesFit"] == 5
    assert "PodTopologySpread" not in names(p for p, _ in packer.scores)
    assert "PodTopologySpread" in names(packer.filters)


@pytest.mark.parametrize(
    ("plugins", "scores"),
    [
        (
            {"multiPoint": {"disabled": [{"name": "*"}], "enabled": [{"name": "PrioritySort"}, {"name": "Scorer"}]}},
            "Scorer 1",
        ),
        ({"multiPoint": {"disabled": [{"name": "ImageLocality"}]}, "score": {"disabled": [{"name": "*"}]}}, ""),
        (
            {
                "score": {
                    "disabled": [{"name": "*"}],
                    "enabled": [{"name": "ImageLocality"}, {"name": "Scorer", "weight": 7}],
                }
            },
            "ImageLocality 1, Scorer 7",
        ),
        (
            {
                "multiPoint": {"enabled": [{"name": "ImageLocality", "weight": 9}, {"name": "Scorer"}]},
                "score": {
                    "enabled": [{"name": "ImageLocality"}],
                    "disabled": [
                        {"name": n}
                        for n in ("TaintToleration", "NodeAffinity", "PodTopologySpread", "InterPodAffinity")
                    ],
                },
            },
            "ImageLocality 9, NodeResourcesFit 1, DynamicResources 2, NodeResourcesBalancedAllocation 1, Scorer 1",
        ),
    ],
)  # fmt: skip
def test_points(plugins: Any, scores: str) -> None:
    """multiPoint and the points themselves, in upstream's order: moved ones, then multiPoint's, then the others."""
    built = profile(plugins, more=[Scorer()])
    assert ", ".join(f"{p.name} {w}" for p, w in built.scores) == scores


def test_plugins_of_somebody_elses_join() -> None:
    """Without being named they come after the default ones; named at one point they are only there."""
    assert names(p for p, _ in profile(more=[Scorer()]).scores)[-1] == "Scorer"
    assert names(profile().binds) == ["Binder"]
    lone = profile({"filter": {"disabled": [{"name": "Scorer"}]}}, more=[Scorer()])
    assert "Scorer" not in names(p for p, _ in lone.scores)


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ("text", "KubeSchedulerConfiguration: must be a mapping, not 'text'"),
        ({"kind": "Pod", "apiVersion": "v1"}, "need a KubeSchedulerConfiguration of .*, not 'Pod' of 'v1'"),
        ({**HEAD, "profile": []}, 'unknown field "profile"'),
        ({**HEAD, "profiles": [{"name": "x"}]}, r'unknown field "profiles\[0\].name"'),
        ({**HEAD, "profiles": [{"plugins": {"sort": {}}}]}, r'unknown field "profiles\[0\].plugins.sort"'),
        ({**HEAD, "profiles": [{}, {}]}, r"profiles\[1\].schedulerName: duplicate value 'default-scheduler'"),
        ({**HEAD, "percentageOfNodesToScore": 101}, "percentageOfNodesToScore: must be a whole number from 0 to 100"),
        ({**HEAD, "podInitialBackoffSeconds": 20}, "podMaxBackoffSeconds: must not be less"),
        ({**HEAD, "leaderElection": {"leaseDuration": "soon"}}, "leaderElection.leaseDuration: 'soon' is no duration"),
        ({**HEAD, "leaderElection": {"resourceLock": "endpoints"}}, "only leases are supported"),
        ({**HEAD, "profiles": [{"pluginConfig": [{"args": {}}]}]}, r"pluginConfig\[0\].name: required"),
    ],
)
def test_refused_documents(document: Any, error: str) -> None:
    """What is unknown or wrong is named."""
    with pytest.raises(ConfigurationError, match=error):
        parse_configuration(document)


@pytest.mark.parametrize(
    ("plugins", "args", "error"),
    [
        ({"filter": {"enabled": [{"name": "Nix"}]}}, None, "filter names the unknown plugin 'Nix'"),
        ({"filter": {"enabled": [{"name": "EBSLimits"}]}}, None, "filter names 'EBSLimits', which was invalid in"),
        ({"multiPoint": {"enabled": [{"name": "GCEPDLimits"}]}}, None, "multiPoint names 'GCEPDLimits', which was"),
        ({"filter": {"enabled": [{"name": "ImageLocality"}]}}, None, "'ImageLocality' does not extend filter"),
        ({"score": {"enabled": [{"name": "NodeAffinity"}] * 2}}, None, "enables 'NodeAffinity' twice"),
        ({"bind": {"disabled": [{"name": "*"}]}}, None, "at least one bind plugin is needed"),
        ({"queueSort": {"disabled": [{"name": "*"}]}}, None, "at least one queueSort plugin is needed"),
        (None, [{"name": "Nix"}], "pluginConfig names the unknown plugin 'Nix'"),
        (None, [{"name": "AzureDiskLimits"}], "pluginConfig names 'AzureDiskLimits', which was invalid"),
        (
            None,
            [{"name": "DynamicResources", "args": {"filterTimeout": "-1s"}}],
            "DynamicResources.filterTimeout: must be zero or positive",
        ),
        (
            None,
            [{"name": "DynamicResources", "args": {"bindingTimeout": "999ms"}}],
            "DynamicResources.bindingTimeout: must be at least 1 second",
        ),
        (
            None,
            [{"name": "DynamicResources", "args": {"bindingTimeout": "soon"}}],
            "DynamicResources.bindingTimeout: 'soon' is no duration",
        ),
        (None, [{"name": "NodePorts", "args": {"x": 1}}], 'unknown field "profile .*: NodePorts.x"'),
        (None, [{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 101}}], "from 0 to 100, not 101"),
        (None, [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "X"}}}], "must be LeastAllocated"),
        (
            None,
            [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "RequestedToCapacityRatio"}}}],
            "shape: at least one point is required",
        ),
        (None, [{"name": "PodTopologySpread", "args": {"defaultConstraints": [{}]}}], "must be empty when"),
        (
            None,
            [{"name": "PodTopologySpread", "args": {"defaultingType": "List", "defaultConstraints": [{"maxSkew": 1}]}}],
            "topologyKey, and DoNotSchedule or ScheduleAnyway, are required",
        ),
        (None, [{"name": "VolumeBinding", "args": {"shape": [{}]}}], "scoring by storage capacity is not supported"),
        (
            None,
            [{"name": "DefaultPreemption", "args": {"minCandidateNodesPercentage": 0, "minCandidateNodesAbsolute": 0}}],
            "cannot both be 0",
        ),
    ],
)  # fmt: skip
def test_refused_profiles(plugins: Any, args: Any, error: str) -> None:
    """Plugins and arguments that do not exist, or cannot be together."""
    with pytest.raises(ConfigurationError, match=error):
        profile(plugins, args)


def test_files_that_are_none(tmp_path: Path) -> None:
    """A file that is absent or no YAML is named with the reason."""
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml cannot be read"):
        load_configuration(tmp_path / "nowhere.yaml")
    (tmp_path / "bad.yaml").write_text("{")
    with pytest.raises(ConfigurationError, match=r"bad\.yaml is no YAML"):
        load_configuration(tmp_path / "bad.yaml")


def test_what_a_cluster_is_given() -> None:
    """True, a configuration, plugins, or both."""
    plugin = Scorer()
    assert read_options(True)[1] == []
    assert read_options([plugin])[1] == [plugin]
    config, plugins = read_options([{**HEAD, "percentageOfNodesToScore": 7}, plugin])
    assert (config.percentage, plugins) == (7, [plugin])
    with pytest.raises(ConfigurationError, match="one configuration, not several"):
        read_options([HEAD, HEAD])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (7, r" must be True, False, None, a KubeSchedulerConfiguration .*, not 7$"),
        ([7], r" must be a list of plugins and at most one KubeSchedulerConfiguration, not \[7\]$"),
        ([False], r" must be a list of plugins .*, not \[False\]$"),
        (Scorer, r": a plugin is an object, not a class: Scorer\(\)$"),
        ("nowhere.yaml", r": nowhere.yaml cannot be read"),
        ({"a": 1}, r': unknown field "a"$'),
        (SimpleNamespace(filter=print), r": every plugin needs a name; .* has none$"),
        (SimpleNamespace(name="Idle"), r": plugin 'Idle' extends no point of the framework$"),
    ],
)
def test_what_a_cluster_cannot_be_given(given: object, says: str) -> None:
    """The option is named, with what it was given and what it may be."""
    with pytest.raises(ConfigurationError, match=f"^'scheduler'{says}"):
        read_options(given)


def test_points_of_a_profile_without_a_configuration() -> None:
    """What a profile is told of a point is all that is asked there."""
    (built,) = build_profiles(parse_configuration(HEAD).profiles, Tools(), [Binder()])
    assert len(built._providing(FilterPlugin)) == 8
    assert len(built._providing(ScorePlugin)) == 7


def test_default_constraints_of_the_configuration(world: Any, node: Any, pod: Any) -> None:
    """Pods without constraints of their own, but with a Service, get those of the profile."""
    args = {
        "defaultingType": "List",
        "defaultConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    }
    selector = LabelSelector.from_map({"app": "g"})
    plugin = make("PodTopologySpread", args, Tools(selector_of=lambda p: selector if "app" in p.labels else None))
    assert isinstance(plugin, PodTopologySpread)
    where = world([node("a", labels={"zone": "a"}), node("b", labels={"zone": "b"}, unschedulable=True)])
    where.profile.filters = [p if p.name != plugin.name else plugin for p in where.profile.filters]
    where.profile.pre_filters = [p if p.name != plugin.name else plugin for p in where.profile.pre_filters]
    where.profile.signs = [plugin]
    assert where.place(pod("p", labels={"app": "g"})) == "a"
    assert "didn't match pod topology spread constraints" in where.why(pod("q", labels={"app": "g"}))
    assert where.place(pod("r")) == "a"
