"""The small pure rules: command lines, back-off, restarts, probes, admission, messages."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.restart import Role, Verdict, after_exit
from minik8s.kubelet.admission import Claim, admit, claim_of
from minik8s.kubelet.backoff import mount_delay, restart_delay
from minik8s.kubelet.command import argv, working_dir
from minik8s.kubelet.downward import format_map
from minik8s.kubelet.images import go_duration
from minik8s.kubelet.logs import chosen_container_id
from minik8s.kubelet.pod_spec import hostname
from minik8s.kubelet.probes import Action, Probe, ProbeKind, declared, initial, step
from minik8s.kubelet.runtime.protocol import Image
from minik8s.kubelet.termination_message import message_limit
from minik8s.machinery.errors import BadRequest

IMAGE = Image("i", "id", argv=("entry",), args=("default",), working_dir="/image")


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, ("entry", "default")),
        ({"args": ["a"]}, ("entry", "a")),
        ({"command": ["c"]}, ("c",)),
        ({"command": ["c"], "args": ["a"]}, ("c", "a")),
        ({"command": ["$(V)", "$$(V)", "$(W)"]}, ("v", "$(V)", "$(W)")),
    ],
)
def test_argv(container: dict[str, Any], expected: tuple[str, ...]) -> None:
    """command replaces entrypoint and default arguments, args only the latter; references are expanded."""
    assert argv(container, IMAGE, {"V": "v"}) == expected


def test_working_dir() -> None:
    """The container's working directory wins over the image's."""
    assert working_dir({"workingDir": "/own"}, IMAGE) == "/own"
    assert working_dir({}, IMAGE) == "/image"


def test_restart_delays() -> None:
    """Crashes wait 0, 10, 20, 40, 80, 160, 300, 300 s; ten minutes of running forgive everything."""
    delays: list[float] = []
    last = None
    for _ in range(8):
        last = restart_delay(last, ran=1)
        delays.append(last)
    assert delays == [0, 10, 20, 40, 80, 160, 300, 300]
    assert restart_delay(300, ran=600) == 0


def test_mount_delays() -> None:
    """Failed mounts wait half a second, doubling to two minutes and two seconds."""
    delays = [0.0]
    for _ in range(10):
        delays.append(mount_delay(delays[-1]))
    assert delays[1:4] == [0.5, 1, 2]
    assert delays[-1] == 122


@pytest.mark.parametrize(
    ("policy", "role", "exit_code", "expected"),
    [
        ("Always", "app", 0, Verdict.RESTART),
        ("OnFailure", "app", 0, Verdict.STAY),
        ("OnFailure", "app", 1, Verdict.RESTART),
        ("Never", "app", 1, Verdict.STAY),
        ("Always", "init", 0, Verdict.STAY),
        ("Always", "init", 1, Verdict.RESTART),
        ("Never", "init", 1, Verdict.STAY),
        ("Never", "sidecar", 0, Verdict.RESTART),
        ("Always", "ephemeral", 1, Verdict.STAY),
    ],
)
def test_restart_policies(policy: str, role: Role, exit_code: int, expected: Verdict) -> None:
    """What the pod's policy means for each role."""
    assert after_exit(policy, {}, role, exit_code) is expected


@pytest.mark.parametrize(
    ("operator", "values", "exit_code", "expected"),
    [
        ("In", [42], 42, Verdict.RESTART),
        ("In", [42], 1, Verdict.STAY),
        ("NotIn", [42], 1, Verdict.RESTART),
        ("NotIn", [42], 42, Verdict.STAY),
    ],
)
def test_restart_rules(operator: str, values: list[int], exit_code: int, expected: Verdict) -> None:
    """A container's rules come before its own policy, and that before the pod's."""
    rule = {"action": "Restart", "exitCodes": {"operator": operator, "values": values}}
    container = {"restartPolicy": "Never", "restartPolicyRules": [rule]}
    assert after_exit("Always", container, "app", exit_code) is expected


def probe(kind: ProbeKind, **thresholds: int) -> Probe:
    return Probe(kind, {}, **thresholds)


@pytest.mark.parametrize(
    ("kind", "thresholds", "results", "actions"),
    [
        ("readiness", {}, "+", "R"),
        ("readiness", {"success_threshold": 2}, "+-++", "...R"),
        ("readiness", {"failure_threshold": 2}, "+-+--", "R...R"),
        ("readiness", {}, "---", "..."),
        ("liveness", {}, "+++", "..."),
        ("liveness", {"failure_threshold": 3}, "--+---", ".....K"),
        ("liveness", {"failure_threshold": 1}, "-", "K"),
        ("startup", {"failure_threshold": 2}, "-+", ".R"),
        ("startup", {"failure_threshold": 2}, "--", ".K"),
    ],
)
def test_probe_verdicts(kind: ProbeKind, thresholds: dict[str, int], results: str, actions: str) -> None:
    """Runs of results reach their threshold, then they report (R) or kill (K); anything shorter does nothing (.)."""
    letters = {Action.NONE: ".", Action.REPORT: "R", Action.KILL: "K"}
    state, seen = initial(kind), ""
    for result in results:
        state, action = step(probe(kind, **thresholds), state, result == "+")
        seen += letters[action]
    assert seen == actions


def test_declared_probes() -> None:
    """Probes take their defaults and resolve named ports."""
    container = {
        "ports": [{"name": "web", "containerPort": 8080}],
        "livenessProbe": {"httpGet": {"port": "web", "path": "/"}, "terminationGracePeriodSeconds": 5},
    }
    found = declared(container)["liveness"]
    assert found.handler == {"httpGet": {"port": 8080, "path": "/"}}
    assert (found.period, found.timeout, found.failure_threshold, found.grace) == (10, 1, 3, 5)


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"containers": [], **spec}}


def asking(cpu: str, more: Any = {}, **fields: Any) -> dict[str, Any]:  # noqa: B006  never changed
    return {"name": "c", "resources": {"requests": {"cpu": cpu, **more}}, **fields}


NODE = {
    "metadata": {"name": "n1", "labels": {"zone": "a"}},
    "spec": {"taints": [{"key": "out", "effect": "NoExecute"}]},
    "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "3", "a.io/gpu": "1", "a.io/none": "0"}},
}
TOLERANT = [{"operator": "Exists"}]


@pytest.mark.parametrize(
    ("spec", "others", "reason"),
    [
        ({}, 0, None),
        ({"containers": [asking("2")]}, 0, None),
        ({"containers": [asking("2")]}, 1, "OutOfcpu"),
        ({}, 3, "OutOfpods"),
        ({"containers": [asking("1", more={"a.io/gpu": "2"})]}, 0, "OutOfa.io/gpu"),
        ({"containers": [asking("1", more={"a.io/unheard-of": "1"})]}, 0, None),
        ({"containers": [asking("1", more={"a.io/none": "1"})]}, 0, None),
        ({"containers": [asking("1", more={"deviceclass.resource.kubernetes.io/x": "1"})]}, 0, None),
        ({"containers": [asking("1", more={"ephemeral-storage": "1"})]}, 0, "OutOfephemeral-storage"),
        ({"nodeSelector": {"zone": "b"}}, 0, "NodeAffinity"),
        ({"tolerations": []}, 0, "TaintToleration"),
        ({"containers": [{"name": "c", "ports": [{"hostPort": 80, "containerPort": 80}]}]}, 1, "NodePorts"),
        ({"containers": [{"name": "c", "ports": [{"hostPort": 81, "containerPort": 80}]}]}, 1, None),
        ({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}, 0, "SysctlForbidden"),
        ({"securityContext": {"sysctls": [{"name": "net/ipv4/tcp_rmem", "value": "1"}]}}, 0, None),
    ],
)
def test_admission(spec: dict[str, Any], others: int, reason: str | None) -> None:
    """A node refuses what does not match it, collides on a host port, or asks for more than is left."""
    candidate = pod(**{"tolerations": TOLERANT, **spec})
    taken = Claim({"cpu": 100}, frozenset({("TCP", "0.0.0.0", 80)}))
    rejection = admit(candidate, claim_of(candidate), [taken] * others, NODE)
    assert (rejection.reason if rejection else None) == reason


@pytest.mark.parametrize(
    ("spec", "name", "why"),
    [
        ({}, "vm.overcommit_memory", '"vm.overcommit_memory" not allowlisted'),
        ({"hostNetwork": True}, "net/ipv4/tcp_rmem", '"net.ipv4.tcp_rmem" not allowed with host net enabled'),
        ({"hostIPC": True}, "kernel.shm_rmid_forced", '"kernel.shm_rmid_forced" not allowed with host ipc enabled'),
    ],
)
def test_parameters_that_are_not_the_pods_alone(spec: dict[str, Any], name: str, why: str) -> None:
    """The node refuses to set what others share, in upstream's words."""
    security = {"sysctls": [{"name": name, "value": "1"}]}
    candidate = pod(tolerations=TOLERANT, securityContext=security, **spec)
    rejection = admit(candidate, claim_of(candidate), [], NODE)
    assert rejection is not None
    assert rejection.message == f"forbidden sysctl: {why}"


def test_admission_message() -> None:
    """The message counts in thousandths of a core."""
    candidate = pod(tolerations=TOLERANT, containers=[asking("2")])
    rejection = admit(candidate, claim_of(candidate), [Claim({"cpu": 100}, frozenset())], NODE)
    assert rejection is not None
    assert rejection.message == "Node didn't have enough resource: cpu, requested: 2000, used: 100, capacity: 2000"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.0005, "0s"), (0.012, "12ms"), (1.2, "1.2s"), (61.5, "1m1.5s"), (120, "2m0s"), (3600, "1h0m0s")],
)
def test_go_duration(seconds: float, text: str) -> None:
    """Durations in events look as Go prints them, cut to milliseconds."""
    assert go_duration(seconds) == text


def test_format_map() -> None:
    """Labels and annotations as a file: sorted, quoted and escaped."""
    assert format_map({"b": 'say "hi"\n', "a": "ä\x01"}) == 'a="ä\\x01"\nb="say \\"hi\\"\\n"'


@pytest.mark.parametrize(
    ("spec", "name", "expected"),
    [({}, "p", "p"), ({"hostname": "h"}, "p", "h"), ({}, "x" * 62 + "-y", "x" * 62)],
)
def test_hostname(spec: dict[str, Any], name: str, expected: str) -> None:
    """The host name is the pod's own or its name, cut to 63 characters without a trailing dash."""
    assert hostname({"metadata": {"name": name}, "spec": spec}) == expected


@pytest.mark.parametrize(("containers", "limit"), [(1, 4096), (3, 4096), (6, 2048)])
def test_message_limit(containers: int, limit: int) -> None:
    """Termination messages share 12 KiB, and none is longer than 4 KiB."""
    assert message_limit(containers) == limit


def log_pod(state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    status = {"name": "c", "state": state, "lastState": last or {}, "containerID": "now"}
    return {"metadata": {"name": "p"}, "status": {"containerStatuses": [status]}}


DIED = {"terminated": {"containerID": "before"}}


@pytest.mark.parametrize(
    ("state", "last", "previous", "expected"),
    [
        ({"running": {}}, None, False, "now"),
        ({"running": {}}, DIED, True, "before"),
        ({"terminated": {"containerID": "ended"}}, None, False, "ended"),
        ({"terminated": {}}, DIED, False, "before"),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, DIED, False, "before"),
    ],
)
def test_which_log(state: Any, last: Any, previous: bool, expected: str) -> None:
    """The current run's log, else the last one's; `previous` asks for the one before."""
    assert chosen_container_id(log_pod(state, last), "c", previous=previous) == expected


@pytest.mark.parametrize(
    ("state", "previous", "text"),
    [
        ({"running": {}}, True, 'previous terminated container "c" in pod "p" not found'),
        ({"waiting": {"reason": "PodInitializing"}}, False, "is waiting to start: PodInitializing"),
        ({"waiting": {"reason": "ErrImagePull"}}, False, "is waiting to start: image can't be pulled"),
        ({"waiting": {"reason": "ImagePullBackOff"}}, False, "trying and failing to pull image"),
        ({"terminated": {}}, False, 'container "c" in pod "p" is terminated'),
    ],
)
def test_no_log(state: Any, previous: bool, text: str) -> None:
    """Why there is no log, in upstream's words."""
    with pytest.raises(BadRequest) as caught:
        chosen_container_id(log_pod(state), "c", previous=previous)
    assert caught.value.message.endswith(text)
