"""What a cluster can be told. One frozen value, handed down from the composition root."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import attrs

from minik8s.controllernames import DEFAULT_CONTROLLERS as DEFAULT_CONTROLLERS
from minik8s.controllernames import chosen

VERSION = "v1.36.2"
"""The Kubernetes version whose behaviour this is, as /version reports it."""

AUDIT_EVENTS = 1000
"""How many requests the audit log remembers unless told otherwise."""

SEATS = 600
"""How many requests may be under way at once unless told otherwise: upstream's 400 and 200."""

LEASE_SECONDS = 40
"""For how long a node's Lease is good unless told otherwise, as upstream."""

SANDBOX_NODES = 125
"""How many nodes have an address in the pods' network of the sandbox runtime."""
BALANCERS = "127.160.0.0/12"
"""Where the addresses of load balancers come from unless told otherwise."""
LEAST_PODS = 1024
"""How many addresses that network has at least: a quarter of them are those of nodes and of the way outside."""

Runtime: TypeAlias = Literal["subprocess", "simulated", "sandbox"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)


def _whole(low: int, high: int | None = None) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """A validator: a whole number from `low` on, to `high`."""
    wanted = f"a whole number from {low}" + ("" if high is None else f" to {high}")

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < low or (high is not None and value > high):
            raise ValueError(f"'{attribute.name}' must be {wanted}, not {value!r}")

    return check


def _one_of(*choices: str) -> Callable[[object, attrs.Attribute[Any], object], None]:
    """A validator: one of these words."""

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in choices:
            raise ValueError(f"'{attribute.name}' must be one of {', '.join(map(repr, choices))}, not {value!r}")

    return check


def _controllers(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, Iterable) and not isinstance(names, str | bytes | Mapping):
        words = tuple(names)
        if all(isinstance(word, str) for word in words):
            try:
                return chosen(words)
            except ValueError as error:
                raise ValueError(f"'controllers': {error}") from None
    wanted = "a sequence of names, '*' for all and '-NAME' for all but that; () for none"
    raise ValueError(f"'controllers' must be {wanted}, not {names!r}")


def _tuple(value: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(value)


def _with_real_containers(config: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    if value and config.runtime == "simulated":
        raise ValueError(f"'{attribute.name}' needs real containers: behind simulated ones there is nobody")


def _images(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"'{attribute.name}' must map names to commands, not be {value!r}")
    for name, command in value.items():
        if isinstance(command, Path):
            continue
        if not isinstance(command, str | tuple | list) or not all(isinstance(word, str) for word in command):
            wanted = "a line or a sequence of words"
            raise ValueError(f"'{attribute.name}': the command of {name!r} must be {wanted}, not {command!r}")


def _tokens(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"'{attribute.name}' must map tokens to users, not be {value!r}")
    for token, user in value.items():
        if not isinstance(token, str) or not token.strip() or any(c.isspace() for c in token):
            raise ValueError(f"'{attribute.name}': a token must be text without spaces")
        given = {"name": user} if isinstance(user, str) else user
        if not isinstance(given, Mapping) or not given.get("name") or given.keys() - {"name", "uid", "groups", "extra"}:
            wanted = "a name or a mapping with name, uid, groups and extra"
            raise ValueError(f"'{attribute.name}': a user must be {wanted}, not {user!r}")


def _network(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    try:
        IPv4Network(value)
    except ValueError as error:
        raise ValueError(
            f"'{attribute.name}' must be an IPv4 network in CIDR notation, not {value!r}: {error}"
        ) from None


def _not_loopback_in_sandbox(config: ClusterConfig, attribute: attrs.Attribute[Any], value: str) -> None:
    if config.runtime == "sandbox" and IPv4Network(value).is_loopback:
        raise ValueError(f"'{attribute.name}' must not be of 127.0.0.0/8 in the sandbox runtime, not {value!r}")


def _large_in_sandbox(config: ClusterConfig, attribute: attrs.Attribute[Any], value: str) -> None:
    if config.runtime == "sandbox" and IPv4Network(value).num_addresses < LEAST_PODS:
        wanted = f"at least {LEAST_PODS} addresses (a /22) in the sandbox runtime"
        raise ValueError(f"'{attribute.name}' must have {wanted}, not {value!r}")


def _ports(_: object, attribute: attrs.Attribute[Any], value: tuple[int, int]) -> None:
    if not 1 <= value[0] <= value[1] <= 65535:
        raise ValueError(f"'{attribute.name}' must be the first and the last of a range of ports, not {value!r}")


@attrs.frozen(kw_only=True)
class ClusterConfig:
    """Options of a cluster; the defaults are a good sandbox on loopback.

    nodes           how many nodes to start
    runtime         "subprocess" runs real processes, "simulated" only pretends to, deterministically; "sandbox" gives
                    them networks and mounts of their own by Linux namespaces, where this machine lets its user
    stages          KWOK Stage manifests (files, YAML texts or documents) by which nodes or pods live in the simulated
                    runtime, instead of as kubelets would have it; see `minik8s.kubelet.stages`
    lease_seconds   for how long a node's Lease is good: it is renewed four times in that, and a node is lost after a
                    quarter more. 400 makes a day of a thousand nodes in virtual time ten times as fast
    static_pod_path a folder of manifests: node-1 runs the pods of its files, and each node those of the folder in it
                    that has the node's name, whatever the API says; see `minik8s.kubelet.static_pods`
    images          image name -> command line (an entrypoint) or argv, beside the built-in images; for the sandbox
                    runtime also a directory that holds a root file system, an OCI image layout (a directory or a tar)
                    or a `docker save` archive
    host, port      where the API server listens; port 0 takes a free one; `serve=False` opens no socket
    tls             serve HTTPS with a CA of the cluster's own
    tokens          bearer token -> who its bearer is: a user's name, or a mapping with name, uid, groups and extra
    client_ca       a PEM file of CAs, beside the cluster's own, whose client certificates are accepted
    rbac            roles and bindings say who may do what; without, every authenticated user may do everything
    directory       where the cluster keeps its files; None makes a temporary directory and removes it
    clock           "virtual" passes over waits: see `Cluster.advance`
    seed            source of every name, UID and jitter; None draws one
    shuffle         tasks that are ready at once get their turn in an order that the seed draws, not in that in which
                    they became so: another schedule that could have been (`pytest --minik8s-explore`)
    controllers     names of the controllers to run: kube-controller-manager's, of today or the short ones of before;
                    as its --controllers, "*" is all and "-NAME" all but that. () is none
    scheduler       whether to run one (None: no); or what it is configured by: a KubeSchedulerConfiguration, as a file
                    or its content, or a list of plugins (`scheduler.framework`), among them such a configuration or not
    coroutines      whether an image python://module:name is code of this process in a simulated pod; whoever may create
                    pods can then import its modules, so a cluster that `minik8s up` keeps for others has them not
    dns             whether to run cluster DNS; by default in the sandbox runtime, whose pods ask it
    ingress         whether to run an ingress controller, at the first address of load_balancer_cidr
    dns_port        the port of 127.0.0.1 where DNS answers, UDP and TCP; 0 takes a free one
    service_cidr    ClusterIPs come from here; with the proxy they must be addresses of this machine. The sandbox
                    runtime has a network for them, and the default is Kubernetes' own 10.96.0.0/12 there
    pod_cidr        pod addresses; 10.244.0.0/16 by default in the sandbox runtime
    load_balancer_cidr
                    the addresses of Services of type LoadBalancer; in every runtime ones of this machine
    history         how many changes the store remembers for watches that resume
    audit_events    how many answered requests `cluster.audit` remembers; 0 for none
    audit_log       a file that every audit event is appended to, one JSON document a line; None for none
    max_requests_inflight, max_mutating_requests_inflight
                    how many requests by HTTP may be under way at once: the sum of both is what priority and fairness
                    divides among its levels; a sum of 0 is no limit
    freeze          stored documents refuse mutation with an error: on in tests, costs a copy a write
    strict          a bug in a controller ends the cluster instead of being logged and tried again: on in tests

    Raises ValueError for a value that cannot be, and TypeError for an option that does not exist.
    """

    nodes: int = attrs.field(default=1, validator=_whole(0))
    runtime: Runtime = attrs.field(default="subprocess", validator=_one_of(*RUNTIMES))
    stages: tuple[str | Path | Mapping[str, Any], ...] = attrs.field(factory=tuple, converter=_tuple, repr=False)
    lease_seconds: int = attrs.field(default=LEASE_SECONDS, validator=_whole(4))
    static_pod_path: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    images: Mapping[str, str | Path | tuple[str, ...]] = attrs.field(factory=dict, validator=_images)
    host: str = "127.0.0.1"
    port: int = attrs.field(default=0, validator=_whole(0, 65535))
    serve: bool = True
    tls: bool = True
    rbac: bool = True
    tokens: Mapping[str, str | Mapping[str, Any]] = attrs.field(factory=dict, validator=_tokens, repr=False)
    client_ca: Path | None = None
    directory: Path | None = None
    clock: Literal["real", "virtual"] = attrs.field(default="real", validator=_one_of("real", "virtual"))
    seed: int | None = None
    shuffle: bool = False
    controllers: tuple[str, ...] = attrs.field(default=DEFAULT_CONTROLLERS, converter=_controllers)
    scheduler: bool | str | Path | Mapping[str, Any] | Sequence[object] | None = True
    proxy: bool = True
    coroutines: bool = True
    dns: bool = attrs.field()
    ingress: bool = attrs.field(default=False, validator=_with_real_containers)
    dns_port: int = attrs.field(default=0, validator=_whole(0, 65535))
    service_cidr: str = attrs.field(validator=[_network, _not_loopback_in_sandbox])
    pod_cidr: str = attrs.field(validator=[_network, _not_loopback_in_sandbox, _large_in_sandbox])
    load_balancer_cidr: str = attrs.field(default=BALANCERS, validator=_network)
    node_port_range: tuple[int, int] = attrs.field(default=(30000, 32767), validator=_ports)
    history: int = attrs.field(default=10_000, validator=_whole(1))
    audit_events: int = attrs.field(default=AUDIT_EVENTS, validator=_whole(0))
    audit_log: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    max_requests_inflight: int = attrs.field(default=400, validator=_whole(0))
    max_mutating_requests_inflight: int = attrs.field(default=200, validator=_whole(0))
    freeze: bool = False
    strict: bool = False

    @stages.validator
    def _stages(self, _: object, value: object) -> None:
        if value and self.runtime != "simulated":
            raise ValueError("'stages' needs runtime='simulated': real processes do not follow a script")

    def __attrs_post_init__(self) -> None:
        """Refuses options that only mean something with another one that is switched off."""
        for given, needed in (("port", "serve"), ("client_ca", "serve"), ("client_ca", "tls"), ("dns_port", "dns")):
            if getattr(self, given) and not getattr(self, needed):
                raise ValueError(f"{given!r} needs {needed}=True")
        if self.runtime == "sandbox" and self.nodes > SANDBOX_NODES:
            raise ValueError(f"'nodes' must be at most {SANDBOX_NODES} in the sandbox runtime, not {self.nodes}")

    @dns.default
    def _dns(self) -> bool:
        return self.runtime == "sandbox"

    @service_cidr.default
    def _service_cidr(self) -> str:
        return "10.96.0.0/12" if self.runtime == "sandbox" else "127.96.0.0/12"

    @pod_cidr.default
    def _pod_cidr(self) -> str:
        return "10.244.0.0/16" if self.runtime == "sandbox" else "127.64.0.0/10"
