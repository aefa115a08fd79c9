"""What a scheduler plugin is: the extension points, and the values that pass through them.

A plugin implements any of the protocols below; the profile finds out which. Plugins are pure: they see a pod, a
snapshot and the cycle's state, and answer with a verdict. Upstream: `k8s.io/kube-scheduler/framework`; a missing
`Status` (None) means success there as here.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import attrs

from minik8s.machinery.meta import Doc

if TYPE_CHECKING:
    from minik8s.client.events import EventKind
    from minik8s.scheduler.info import NodeInfo, PodInfo
    from minik8s.scheduler.podindex import PodIndex
    from minik8s.scheduler.tally import Domains, Tally

    T = TypeVar("T", bound=Tally)

MAX_SCORE = 100
"""The best score a plugin may give a node after normalising (framework.MaxNodeScore)."""


class Code(enum.Enum):
    """How a plugin answers. UNRESOLVABLE: removing pods would not help, so preemption need not try."""

    SUCCESS = "Success"
    ERROR = "Error"
    UNSCHEDULABLE = "Unschedulable"
    UNRESOLVABLE = "UnschedulableAndUnresolvable"
    SKIP = "Skip"


@attrs.frozen
class Status:
    """A verdict other than plain success. `reasons` are shown to users; `plugin` is who said so."""

    code: Code
    reasons: tuple[str, ...] = ()
    plugin: str = ""

    @property
    def message(self) -> str:
        return ", ".join(self.reasons)

    @property
    def rejected(self) -> bool:
        """Whether the pod does not fit, as opposed to something having gone wrong."""
        return self.code in (Code.UNSCHEDULABLE, Code.UNRESOLVABLE)


class PluginFailure(Exception):
    """Raised by a plugin when something is wrong that ends the attempt: the text is told to the pod, nothing logged."""


SKIP = Status(Code.SKIP)
"""Answer of pre_filter and pre_score: this plugin has no opinion on this pod."""


class Event(enum.IntFlag):
    """What happened in the cluster that may make a pod schedulable (upstream: ClusterEvent)."""

    NODE_ADD = enum.auto()
    NODE_ALLOCATABLE = enum.auto()
    NODE_LABEL = enum.auto()
    NODE_TAINT = enum.auto()
    POD_ADD = enum.auto()
    POD_LABEL = enum.auto()
    POD_DELETE = enum.auto()
    VOLUME = enum.auto()
    """A claim, a volume or a storage class came or changed; the subject is that object."""
    RESOURCE_CLAIM = enum.auto()
    """A ResourceClaim came or its status changed; the subject is that claim."""
    DEVICE_FREED = enum.auto()
    """A ResourceClaim lost what it had; the subject is that claim."""
    DEVICE = enum.auto()
    """A ResourceSlice came or changed; the subject is that slice."""
    DEVICE_CLASS = enum.auto()
    """A DeviceClass came or changed; the subject is that class."""
    NODE = NODE_ADD | NODE_ALLOCATABLE | NODE_LABEL | NODE_TAINT


@attrs.define
class CycleState:
    """What the plugins keep for the length of one decision, and which of them have no opinion on this pod."""

    data: dict[str, Any] = attrs.field(factory=dict)
    skip_filter: set[str] = attrs.field(factory=set)
    skip_score: set[str] = attrs.field(factory=set)
    slow: bool = False
    """Set by a plugin whose pre_bind waits for others: then binding must not keep a worker from other pods."""

    def clone(self) -> CycleState:
        """One to try things out on: what plugins keep is cloned where it can be (`clone`), and shared otherwise."""
        data = {key: value.clone() if hasattr(value, "clone") else value for key, value in self.data.items()}
        return CycleState(data, self.skip_filter, self.skip_score, self.slow)


class Snapshot(Protocol):
    """The cluster as a plugin sees it; nothing in it may be changed.

    `epoch` moves when something changes that verdicts on *other* nodes may depend on: the set of nodes, the pods
    with affinity terms, whether soft taints exist.
    """

    @property
    def nodes(self) -> Sequence[NodeInfo]: ...
    @property
    def epoch(self) -> int: ...
    @property
    def nodes_with_affinity(self) -> Mapping[str, NodeInfo]:
        """Nodes with a pod that has any (anti-)affinity term towards other pods."""
        ...

    @property
    def has_soft_taints(self) -> bool:
        """Whether any node has a PreferNoSchedule taint."""
        ...

    @property
    def lowest_priority(self) -> int:
        """The lowest priority of any pod on any node."""
        ...

    def node(self, name: str) -> NodeInfo | None: ...
    def image_nodes(self, image: str) -> int:
        """On how many nodes an image lies."""
        ...

    def namespace_labels(self, namespace: str) -> Mapping[str, str]: ...
    @property
    def term_labels(self) -> Mapping[str, int]:
        """The label keys that (anti-)affinity terms of pods on nodes look at."""
        ...

    @property
    def layout(self) -> int: ...
    @property
    def taints(self) -> int: ...
    @property
    def pods(self) -> PodIndex: ...
    @property
    def pod_log(self) -> Any: ...
    @property
    def term_log(self) -> Any: ...
    def tally(self, key: Hashable, make: Callable[[], T], labels: Iterable[str] = ()) -> T:
        """The current tally of that key (see `tally`), made when there is none; it counts pods by those labels."""
        ...

    def domains(self, key: Hashable, make: Callable[[], Domains]) -> Domains:
        """What nodes are divided into, of that key, made when there is none."""
        ...

    def is_unique(self, key: str) -> bool:
        """Whether no two nodes have the same value of that label."""
        ...


PreFilterResult: TypeAlias = "frozenset[str] | Status | None"
"""The only nodes worth looking at, or a Status (SKIP or a rejection of the pod as a whole), or None."""


class Plugin(Protocol):
    """`name` is upstream's; `local` says that its verdict on a node depends on that node and the pod alone, which is
    what allows verdicts to be reused."""

    @property
    def name(self) -> str: ...
    @property
    def local(self) -> bool: ...


@runtime_checkable
class PreEnqueuePlugin(Protocol):
    def pre_enqueue(self, pod: PodInfo) -> Status | None:
        """A rejection keeps the pod out of the queue, without an attempt and without an event."""
        ...


@runtime_checkable
class QueueSortPlugin(Protocol):
    def sort_key(self, pod: PodInfo, enqueued: float) -> Any:
        """Smaller comes first; `enqueued` is when the pod entered the queue (seconds, monotonic)."""
        ...


@runtime_checkable
class PreFilterPlugin(Protocol):
    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult: ...


@runtime_checkable
class PreFilterExtensions(Protocol):
    """For plugins whose pre_filter counts pods: what if `other` came to `node`, or went? `state` is a clone."""

    def add_pod(self, state: CycleState, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None: ...
    def remove_pod(self, state: CycleState, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None: ...


@runtime_checkable
class DomainPlugin(Protocol):
    """For plugins that judge a node by its topology domains: lets verdicts be shared although pods come and go."""

    def standing(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Hashable:
        """Nodes of equal standing get equal verdicts and scores, whatever their domains hold by then."""
        ...

    def refresh(self, state: CycleState, snapshot: Snapshot) -> bool:
        """Brings what the state says of domains up to date; False when that takes a new state."""
        ...


@runtime_checkable
class SignPlugin(Protocol):
    """For plugins whose verdict depends on more of a pod than its spec and the labels that terms look at."""

    def sign(self, pod: PodInfo) -> Hashable:
        """Equal for pods that the plugin cannot tell apart."""
        ...


@runtime_checkable
class FilterPlugin(Protocol):
    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None: ...


@runtime_checkable
class EnqueueExtensions(Protocol):
    """For plugins that reject: what may change their mind (upstream: EventsToRegister with QueueingHintFn).

    A pod that `pre_enqueue` keeps out is let in by such an event as well, if it passes by then.
    """

    @property
    def events(self) -> Event: ...
    def hint(self, pod: PodInfo, event: Event, subject: Any) -> bool:
        """Whether the event is worth another attempt. It happened to `subject`: a NodeInfo, a PodInfo or a document."""
        ...


PostFilterResult: TypeAlias = "tuple[Nomination | None, str] | Status"
"""How room can be made and what to tell the user; or that something went wrong, and nobody else shall try."""


@runtime_checkable
class PostFilterPlugin(Protocol):
    def post_filter(
        self,
        state: CycleState,
        pod: PodInfo,
        snapshot: Snapshot,
        profile: Any,
        diagnosis: Any,
        statuses: Mapping[str, Status],
    ) -> PostFilterResult:
        """Asked when no node fits. None as nomination keeps an earlier one."""
        ...


@runtime_checkable
class PreScorePlugin(Protocol):
    def pre_score(
        self, state: CycleState, pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]
    ) -> Status | None: ...


@runtime_checkable
class ScorePlugin(Protocol):
    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int: ...


@runtime_checkable
class ScoreExtensions(Protocol):
    def normalize(self, state: CycleState, pod: PodInfo, scores: dict[str, int]) -> None:
        """Brings the scores of all feasible nodes into 0 … MAX_SCORE, in place.

        A plugin with a true attribute `by_value` promises that equal scores stay equal, whatever nodes have them
        and however many; only then can verdicts be reused.
        """
        ...


@runtime_checkable
class ReservePlugin(Protocol):
    def reserve(self, state: CycleState, pod: PodInfo, node: str) -> Status | None: ...
    def unreserve(self, state: CycleState, pod: PodInfo, node: str) -> None:
        """Takes back `reserve`; also called when it failed or never ran."""
        ...


@attrs.frozen
class Wait:
    """Answer of permit: the pod waits, at most so many seconds, until the plugin allows or rejects it.

    It is found under its uid in `Handle.waiting`.
    """

    seconds: float


@runtime_checkable
class PermitPlugin(Protocol):
    def permit(self, state: CycleState, pod: PodInfo, node: str) -> Status | Wait | None: ...


@runtime_checkable
class PreBindPlugin(Protocol):
    async def pre_bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None: ...


@runtime_checkable
class BindPlugin(Protocol):
    async def bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        """SKIP leaves the pod to the next bind plugin."""
        ...


@runtime_checkable
class PostBindPlugin(Protocol):
    def post_bind(self, state: CycleState, pod: PodInfo, node: str) -> None: ...


class Handle(Protocol):
    """What a plugin may ask of the scheduler it runs in."""

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def client(self) -> Any:
        """The scheduler's `Client`."""
        ...

    @property
    def waiting(self) -> Mapping[str, Any]:
        """The pods that wait for a permit, by uid: `waiting.WaitingPod`, with `allow` and `reject`."""
        ...

    def now(self) -> float:
        """Seconds that never go back."""
        ...

    def activate(self, uids: Iterable[str]) -> None:
        """Has waiting pods tried again now."""
        ...

    def do(self, act: Callable[[], Awaitable[None]]) -> None:
        """Has something carried out beside the decisions, such as a write that an extension point cannot await."""
        ...

    def event(self, pod: PodInfo, type: EventKind, reason: str, message: str) -> None:
        """Records an event about a pod."""
        ...


@runtime_checkable
class HandlePlugin(Protocol):
    def attach(self, handle: Handle) -> None:
        """Called once, before the scheduler starts."""
        ...


@attrs.frozen
class Nomination:
    """Room that can be made: evict `victims`, and `node` will do. Node "" says that none can."""

    node: str
    victims: tuple[Doc, ...]


Signature: TypeAlias = Hashable
"""Equal for pods that no plugin can tell apart."""


def normalize_by_max(scores: dict[str, int], *, reverse: bool = False) -> None:
    """Scales to 0 … MAX_SCORE by the largest; `reverse` makes the smallest the best (DefaultNormalizeScore)."""
    largest = max(scores.values(), default=0)
    for node, score in scores.items():
        scaled = MAX_SCORE * score // largest if largest else 0
        scores[node] = MAX_SCORE - scaled if reverse else scaled
