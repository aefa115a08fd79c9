"""From a scenario's YAML to a `Scenario`, or to everything that is wrong with it, line by line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from minik8s.bench.expressions import ExpressionError, Value, substitute
from minik8s.bench.loads import tuning_set
from minik8s.bench.methods import METHODS, Param
from minik8s.bench.reading import Fields, Problem, ScenarioError, Source, compose, plain, read_text
from minik8s.bench.scenario import (
    VERBS,
    BundleObject,
    Call,
    MeasurementCall,
    NamespaceRange,
    Phase,
    Requests,
    Scenario,
    Step,
    Template,
    WarmUp,
)
from minik8s.bench.tuning import QpsLoad, TuningSet
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.selectors import LabelSelector

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_INNOCENT: Final = TuningSet("", QpsLoad(1.0))
NODES: Final = 10
"""Of a scenario that says nothing about them."""
MOST_NAMESPACES: Final = 100_000


def load_scenario(path: Path, overrides: Mapping[str, str] | None = None, *, shown: str = "") -> Scenario:
    """The scenario of a file, with parameters set to other values. Raises ScenarioError."""
    name = shown or str(path)
    text = read_text(path, name)
    root = compose(text, name)
    if root is None:
        raise ScenarioError([Problem(name, "is empty")])
    return _Parser(Source(name), path.parent, text).scenario(root, overrides or {})


def parse_value(text: str) -> Any:
    """What a parameter's value means in YAML: a number, true, or text."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return text
    return plain(node) if isinstance(node, yaml.ScalarNode) else text


class _Parser:
    """One scenario's file, and the templates it names."""

    def __init__(self, source: Source, folder: Path, text: str) -> None:
        self._source, self._folder = source, folder
        self._digest = hashlib.sha256(text.encode())
        self._tuning: dict[str, TuningSet] = {}
        self._templates: dict[str, Template | None] = {}
        self._started: dict[str, str] = {}

    def scenario(self, root: yaml.Node, overrides: Mapping[str, str]) -> Scenario:
        fields = Fields(self._source, root, "")
        self._params(fields, overrides)
        name, description = self._label(fields, "name"), fields.text("description", "")
        number, prefix = self._namespaces(fields)
        for each in fields.sequence("tuningSets"):
            self._add_tuning(each)
        steps = tuple(self._step(each) for each in fields.sequence("steps"))
        if not steps:
            fields.complain("steps must not be empty", "steps")
        warm_up = self._warm_up(fields)
        fields.close()
        self._source.verify()
        digest = self._digest.hexdigest()
        return Scenario(name, description, digest, dict(self._source.values), number, prefix, steps, warm_up)

    def _params(self, fields: Fields, overrides: Mapping[str, str]) -> None:
        """In their order, so that one may be made of those before it."""
        values, mapping = self._source.values, fields.mapping("params")
        given = {key: parse_value(text) for key, text in overrides.items()}
        names = mapping.keys() if mapping is not None else []
        if "nodes" not in names:
            values["nodes"] = NODES
        for name in ["nodes", *(name for name in names if name != "nodes")] if "nodes" not in names else names:
            default = mapping.value(name) if mapping is not None and name in names else NODES
            value = given.pop(name, default)
            if not isinstance(default, int | float | str):
                fields.complain(f"params.{name} must be a number, text, true or false", "params")
                continue
            if not _alike(value, default):
                problem = f"parameter {name} must be {_called(default)}, not {value!r}"
                self._source.problems.append(Problem(self._source.name, problem))
                value = default
            values[name] = value
        for name in given:
            known = ", ".join(sorted(values))
            problem = f"the scenario has no parameter {name!r}; it has {known}"
            self._source.problems.append(Problem(self._source.name, problem))
        if "nodes" in names and "nodes" not in values:
            values["nodes"] = NODES
        elif not isinstance(values.get("nodes"), int) or not 0 <= int(values["nodes"]) <= 10_000:
            fields.complain(f"nodes must be a whole number from 0 to 10,000, not {values.get('nodes')!r}", "params")
            values["nodes"] = NODES

    def _label(self, fields: Fields, key: str, default: Any = None) -> str:
        text = fields.text(key) if default is None else fields.text(key, default)
        if text and not _LABEL.fullmatch(text):
            where = f"{fields.path}.{key}" if fields.path else key
            fields.complain(f"{where} must be at most 40 small letters, digits and dashes, not {text!r}", key)
        return text

    def _namespaces(self, fields: Fields) -> tuple[int, str]:
        found = fields.mapping("namespace")
        if found is None:
            return 1, ""
        number, prefix = found.integer("number", 1, low=1, high=MOST_NAMESPACES), self._label(found, "prefix", "")
        found.close()
        return number, prefix

    def _add_tuning(self, fields: Fields) -> None:
        found = tuning_set(fields)
        if found.name in self._tuning:
            fields.complain(f"there are two tuning sets {found.name!r}")
        self._tuning[found.name] = found

    def _warm_up(self, fields: Fields) -> WarmUp:
        found = fields.mapping("warmUp")
        if found is None:
            return WarmUp()
        warm_up = WarmUp(
            found.integer("requests", 100, high=100_000),
            found.number("tolerance", 0.25, high=10.0),
            found.integer("attempts", 20, low=2, high=1000),
        )
        found.close()
        return warm_up

    def _step(self, fields: Fields) -> Step:
        phases = tuple(self._phase(each) for each in fields.sequence("phases"))
        measurements = tuple(self._measurement(each) for each in fields.sequence("measurements"))
        requests = tuple(self._requests(each) for each in fields.sequence("requests"))
        if sum(map(bool, (phases, measurements, requests))) != 1:
            fields.complain(f"{fields.path} must have exactly one of phases, measurements and requests")
        first = measurements[0] if measurements else None
        name = fields.text("name", f"{first.method} {first.action}" if first else "phases" if phases else "requests")
        fields.close()
        return Step(name, phases, measurements, requests)

    def _phase(self, fields: Fields) -> Phase:
        where = fields.mapping("namespaceRange")
        namespaces = self._range(where) if where is not None else None
        replicas, tuning = fields.integer("replicasPerNamespace"), self._tuning_of(fields)
        bundle = tuple(self._object(each) for each in fields.sequence("objectBundle"))
        if not bundle:
            fields.complain(f"{fields.path}.objectBundle must not be empty")
        fields.close()
        return Phase(namespaces, replicas, tuning, bundle)

    def _range(self, fields: Fields) -> NamespaceRange:
        low = fields.integer("min", high=MOST_NAMESPACES)
        high = fields.integer("max", high=MOST_NAMESPACES)
        basename = self._label(fields, "basename", "")
        if high < low:
            fields.complain(f"{fields.path}.max must not be less than min ({low}), but is {high}", "max")
        fields.close()
        return NamespaceRange(low, high, basename)

    def _tuning_of(self, fields: Fields) -> TuningSet:
        name = fields.text("tuningSet")
        if name and name not in self._tuning:
            known = ", ".join(self._tuning) or "none"
            fields.complain(f"{fields.path}.tuningSet: there is no tuning set {name!r}; there are {known}", "tuningSet")
        return self._tuning.get(name, _INNOCENT)

    def _object(self, fields: Fields) -> BundleObject:
        basename, path = self._label(fields, "basename"), fields.text("objectTemplatePath")
        fill = fields.value("templateFillMap") or {}
        if not isinstance(fill, dict) or not all(isinstance(v, int | float | str) for v in fill.values()):
            fields.complain(f"{fields.path}.templateFillMap must map names to numbers and text", "templateFillMap")
            fill = {}
        template = self._template(fields, path, fill) if path else None
        fields.close()
        return BundleObject(basename, template or Template(path, {"apiVersion": "v1", "kind": "?"}, ""), fill)

    def _template(self, fields: Fields, path: str, fill: Mapping[str, Value]) -> Template | None:
        file = self._folder / path
        shown = path if self._folder == Path(self._source.name) else str(file)
        try:
            text = read_text(file, shown)
            root = compose(text, shown)
        except ScenarioError as error:
            if file.exists():
                self._source.problems += error.problems
            else:
                fields.complain(f"{fields.path}.objectTemplatePath: there is no file {file}", "objectTemplatePath")
            return None
        if path not in self._templates:
            self._digest.update(text.encode())
            self._templates[path] = self._read_template(path, root, text, Source(shown))
        values = {**self._source.values, **fill, "Name": "name-0", "Index": 0, "Namespace": "namespace"}
        if root is not None:
            self._check_places(root, values, Source(shown, problems=self._source.problems))
        return self._templates[path]

    def _read_template(self, path: str, root: yaml.Node | None, text: str, source: Source) -> Template | None:
        fields = Fields(source, root, "the object")
        if isinstance(root, yaml.MappingNode):
            fields.text("apiVersion")
            fields.text("kind")
        elif root is None:
            source.complain(None, "is empty")
        if source.problems:
            self._source.problems += source.problems
            return None
        assert root is not None
        return Template(path, plain(root), hashlib.sha256(text.encode()).hexdigest())

    def _check_places(self, node: yaml.Node, values: Mapping[str, Value], source: Source) -> None:
        if isinstance(node, yaml.ScalarNode):
            try:
                substitute(node.value, values)
            except ExpressionError as error:
                if str(error) not in {problem.what for problem in source.problems}:
                    source.complain(node, str(error))
            return
        for each in node.value:
            for child in each if isinstance(each, tuple) else (each,):
                self._check_places(child, values, source)

    def _requests(self, fields: Fields) -> Requests:
        where = fields.mapping("namespaceRange")
        namespaces = self._range(where) if where is not None else NamespaceRange(1, 1)
        count, tuning = fields.integer("count", low=1), self._tuning_of(fields)
        calls = tuple(self._call(each) for each in fields.sequence("calls"))
        if not calls:
            fields.complain(f"{fields.path}.calls must not be empty")
        fields.close()
        return Requests(namespaces, count, tuning, calls)

    def _call(self, fields: Fields) -> Call:
        verb, weight = fields.text("verb", choices=VERBS), fields.number("weight", 1.0)
        scope = fields.text("scope", "namespace", choices=("namespace", "cluster"))
        if scope == "cluster" and verb != "list":
            fields.complain(f"{fields.path}.scope: only a list can be of the cluster", "scope")
        target = self._object(fields)  # closes the fields, all of which it or we have asked for
        return Call(verb, weight, target, scope)  # type: ignore[arg-type]  # both are one of their choices

    def _measurement(self, fields: Fields) -> MeasurementCall:
        name = fields.text("Method", choices=tuple(METHODS))
        identifier, method = fields.text("Identifier", name), METHODS.get(name)
        params = fields.mapping("Params")
        if method is None or (params is None and not method.once):
            if method is not None:
                fields.complain(f"{fields.path}.Params is required, with an action of start or gather")
            return MeasurementCall(name, identifier, "gather", {})
        params = params or Fields(self._source, None, f"{fields.path}.Params")
        action = "gather" if method.once else params.text("action", choices=("start", "gather"))
        known = method.start if action == "start" else method.gather
        values = {key: _param(params, key, param) for key, param in known.items()}
        params.close()
        fields.close()
        self._order(fields, name, identifier, action, once=method.once)
        return MeasurementCall(name, identifier, action, values)  # type: ignore[arg-type]

    def _order(self, fields: Fields, method: str, identifier: str, action: str, *, once: bool) -> None:
        """What is gathered was started before, under the same name."""
        if once:
            return
        if action == "start":
            if self._started.setdefault(identifier, method) != method:
                fields.complain(f"{fields.path}: {identifier} is a {self._started[identifier]} already", "Identifier")
        elif self._started.get(identifier) != method:
            fields.complain(
                f"{fields.path}: {method} {identifier} is gathered but was not started before", "Identifier"
            )


def _param(params: Fields, key: str, param: Param) -> Value:
    default: dict[str, Any] = {} if param.default is None else {"default": param.default}
    match param.kind:
        case "duration":
            return params.duration(key, **default)
        case "integer":
            return params.integer(key, **default)
        case "number":
            return params.number(key, **default, above=-1e-9)
        case "selector":
            text = params.text(key, **default)
            try:
                LabelSelector.parse(text)
            except BadRequest as error:
                params.complain(f"{params.path}.{key}: {error.message}", key)
            return text
    return params.text(key, **default)


def _alike(value: Any, default: Any) -> bool:
    """Whether a parameter's value is of its default's kind; a whole number may become any."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int):
        return isinstance(value, int)
    return isinstance(value, int | float if isinstance(default, float) else str)


def _called(value: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names[type(value)]
