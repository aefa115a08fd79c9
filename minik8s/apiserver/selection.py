"""Which objects of a collection a request is about: its selectors, and how the store can narrow them down."""

from __future__ import annotations

import attrs

from minik8s.api.request import ApiRequest
from minik8s.apiserver.registry import Served
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import Doc, Obj, labels_of, name_of, namespace_of
from minik8s.machinery.selectors import FieldSelector, LabelSelector
from minik8s.store.protocol import Prefix, Term

_NAME = "metadata.name"
_CLUSTER = frozenset({_NAME})
_NAMESPACED = _CLUSTER | {"metadata.namespace"}


@attrs.frozen
class Selection:
    """`prefix` and `term` are what the store filters by; `matches` decides the rest, on stored documents."""

    served: Served
    prefix: Prefix
    labels: LabelSelector | None
    fields: FieldSelector | None
    term: Term | None

    @property
    def is_everything(self) -> bool:
        """Whether every object under the prefix is meant."""
        return self.labels is None and self.fields is None

    def matches(self, obj: Obj) -> bool:
        if self.labels is not None and not self.labels.matches(labels_of(obj)):
            return False
        if self.fields is None:
            return True
        shown = self.served.view(obj)
        return self.fields.matches(lambda path: read_field(self.served, shown, path))


def selection(served: Served, request: ApiRequest) -> Selection:
    """Raises BadRequest for a selector that cannot be parsed or names a field that is not selectable."""
    labels = fields = term = None
    name = ""
    if text := request.options.get("labelSelector"):
        labels = LabelSelector.parse(text)
        if labels.is_everything:
            labels = None
    if text := request.options.get("fieldSelector"):
        fields = FieldSelector.parse(text)
        term, name = _narrowed(served, fields)
        if not fields.requirements:
            fields = None
    prefix: Prefix = (served.storage.group_resource,)
    if request.namespace:
        prefix = (*prefix, request.namespace)
    if name and (request.namespace or not served.resource.namespaced):
        prefix = (prefix[0], request.namespace, name)
    return Selection(served, prefix, labels, fields, term)


def _narrowed(served: Served, fields: FieldSelector) -> tuple[Term | None, str]:
    """The indexed term that is asked for, and the name."""
    term: Term | None = None
    name = ""
    common = _NAMESPACED if served.resource.namespaced else _CLUSTER
    for path, operator, value in fields.requirements:
        if path not in common and path not in served.strategy.selectable:
            raise BadRequest(f"field label not supported: {path}")
        if operator == "=" and path == _NAME:
            name = value
        elif operator == "=" and served.shares_bytes and path in served.strategy.indexed:
            term = (path, value)
    return term, name


def read_field(served: Served, obj: Doc, path: str) -> str:
    """The value of a selectable field; "" when the object does not have it."""
    if path == _NAME:
        return name_of(obj)
    if path == "metadata.namespace":
        return namespace_of(obj)
    return served.strategy.selectable[path](obj)
