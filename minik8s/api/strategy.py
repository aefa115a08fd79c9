"""What a kind does that its type table cannot say.

The base class is right for a kind with nothing special. A kind's own strategy stands in `strategies/`, one
file per group, and is looked up by `strategy_for`. Everything here is pure: documents in, documents or field
errors out. The order in which the API server calls the hooks on a write:

    decode -> default -> prepare_* -> mutating admission -> validate_* -> validating admission -> store

`default` and `prepare_*` change the document they are given in place: it is a private copy that nobody has
stored yet. `old` documents are stored ones and are never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar, Literal, TypeAlias

import attrs

from minik8s.api.request import User
from minik8s.machinery.field import FieldErrors
from minik8s.machinery.meta import Doc, Obj

NameRule = Callable[[str], list[str]]
"""Returns what is wrong with a name, nothing when it is fine."""
HoleRule: TypeAlias = Callable[[str], bool] | None
"""Whether a text that is not empty is as good as any other, and stored as it is; None: every text is."""
Holes: TypeAlias = Mapping[str, Mapping[str, HoleRule]]
Propagation = Literal["Background", "Foreground", "Orphan"]


@attrs.frozen
class PartialWrite:
    """How a subresource writes a part of the object: `keep` puts back all the rest, `check` says what may not be so.

    `resets` are the top-level fields that nobody writes by it; metadata, where it is among them, is put back for all.
    """

    keep: Callable[[Obj, Doc], None]
    check: Callable[[Doc, Doc], FieldErrors]
    resets: frozenset[str] = frozenset({"metadata", "status"})


class Strategy:
    """Hooks and switches of one kind; see the module's docstring for the order of calls."""

    has_generation: ClassVar[bool] = False
    """`metadata.generation` starts at 1 and grows when `spec` changes."""
    creates_on_update: ClassVar[bool] = False
    """PUT of a missing object creates it (201)."""
    requires_version: ClassVar[bool] = False
    """PUT must carry metadata.resourceVersion."""
    graceful: ClassVar[bool] = False
    """DELETE only marks the object; an agent finishes (pods)."""
    returns_deleted: ClassVar[bool] = False
    """DELETE answers the object instead of a Status."""
    holes: ClassVar[Holes] = {}
    """Where new objects that are made alike differ, for kinds of which there are many (`apiserver.moulds`): text fields
    of the object ("") and of its parts, of which the server asks no more than the rule says. `metadata.name` is one."""
    default_propagation: ClassVar[Propagation] = "Background"
    status_is_separate: bool = True
    """A change of the status is no new generation, and the main endpoint does not write it."""
    status_keeps_metadata: ClassVar[bool] = False
    """A write to /status leaves labels, annotations, finalizers and owners as stored. Few kinds do: of most, upstream
    resets the spec alone."""
    status_keeps_labels: ClassVar[bool] = False
    """A write to /status leaves the labels as stored, but not the rest of metadata."""
    selectable: ClassVar[Mapping[str, Callable[[Doc], str]]] = {}
    """Field selector paths besides metadata.name and metadata.namespace, each with its reader."""
    indexed: ClassVar[tuple[str, ...]] = ()
    """Those of `selectable` by which lists and watches are so common that the store keeps an index."""

    parts: ClassVar[Mapping[str, PartialWrite]] = {}
    """Subresources that write a part of the object."""

    def name_errors(self, name: str) -> list[str]:
        """What is wrong with metadata.name; DNS-1123 subdomain unless the kind says otherwise."""
        from minik8s.machinery.names import dns1123_subdomain

        return dns1123_subdomain(name)

    def default(self, obj: Obj) -> None:
        """Fills in the fields that clients may leave out. Idempotent; also runs on the result of a patch."""

    def default_status(self, obj: Obj) -> None:
        """The same for a write to /status; what that may not change is put back afterwards.

        A status that has not been touched may be the stored one: defaults make a new one, and change none in place.
        """
        self.default(obj)

    def prepare_create(self, obj: Obj) -> None:
        """Resets what a creator may not choose: the status, to its initial value."""
        obj.pop("status", None)

    def sign(self, obj: Obj, user: User) -> None:
        """Notes in a new object who creates it; runs after `prepare_create`. Hardly a kind does."""

    def date(self, obj: Obj, old: Doc, now: Callable[[], datetime]) -> None:
        """Dates what the writer of an update has left undated; runs after what may not change is back."""

    def prepare_update(self, obj: Obj, old: Doc) -> None:
        """Keeps what the main endpoint may not change: the status."""
        if "status" in old:
            obj["status"] = old["status"]
        else:
            obj.pop("status", None)

    def prepare_status_update(self, obj: Obj, old: Doc) -> None:
        """Keeps what /status may not change: everything but the status."""
        for key in [k for k in obj if k not in ("metadata", "status", "apiVersion", "kind")]:
            if key not in old:
                del obj[key]
        for key, value in old.items():
            if key not in ("metadata", "status"):
                obj[key] = value

    def validate_create(self, obj: Doc) -> FieldErrors:
        """All errors at once; metadata is validated by the server itself."""
        return []

    def validate_update(self, obj: Doc, old: Doc) -> FieldErrors:
        """Also says what is immutable."""
        return self.validate_create(obj)

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return []

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        """Texts for Warning headers; nothing is refused."""
        return []

    def deletable_at_once(self, obj: Doc, grace: int) -> bool:
        """For graceful kinds: whether nobody has to be waited for."""
        return True

    def grace_period(self, obj: Doc) -> int:
        """For graceful kinds: seconds when the caller names none."""
        return 0
