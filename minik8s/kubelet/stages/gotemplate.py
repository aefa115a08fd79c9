"""Go's text/template, as far as published stages speak it.

    {{ pipeline }}   {{ $x := pipeline }}   {{ $x = pipeline }}   {{/* comment */}}   {{- trimmed -}}
    {{ if }} {{ else if }} {{ else }} {{ end }}   {{ with }} {{ else }} {{ end }}
    {{ range pipeline }}  {{ range $index, $item := pipeline }}  {{ else }} {{ break }} {{ continue }} {{ end }}
    {{ define "name" }} {{ end }}   {{ template "name" pipeline }}

A pipeline is one or more calls with `|` between them; operands are `.`, `$`, `.a.b`, `$x.a`, `(pipeline).a`, strings,
numbers, true, false and nil. `and` and `or` look at no more operands than they need. A field of nothing is nothing,
where Go would fail; everything else that is not listed (`block`, `else with`, methods) is a TemplateError
that names the line, when the template is parsed and not when it is played.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from minik8s.kubelet.stages.gotokens import TemplateError, Token, closing, number, split, tokens_of, unquoted
from minik8s.kubelet.stages.values import go_print

__all__ = ["Functions", "Template", "TemplateError"]

Functions = Mapping[str, Callable[..., Any]]


class _Flow(Exception):
    """break or continue."""

    def __init__(self, word: str) -> None:
        self.word = word


class _Scope:
    """Variables of a block."""

    __slots__ = ("_outer", "_values")

    def __init__(self, outer: _Scope | None) -> None:
        self._outer, self._values = outer, dict[str, Any]()

    def get(self, name: str) -> Any:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope._values:
                return scope._values[name]
            scope = scope._outer
        raise KeyError(name)

    def declare(self, name: str, value: Any) -> None:
        self._values[name] = value

    def assign(self, name: str, value: Any) -> None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope._values:
                scope._values[name] = value
                return
            scope = scope._outer
        raise KeyError(name)


class _Run:
    """One rendering."""

    __slots__ = ("functions", "out", "templates")

    def __init__(self, functions: Functions, templates: Mapping[str, Block]) -> None:
        self.functions, self.templates = functions, templates
        self.out: list[str] = []


Value = Callable[[_Run, Any, _Scope], Any]
"""(run, dot, scope) -> what a pipeline is."""
Step = Callable[[_Run, Any, _Scope], None]
Block = Sequence[Step]


class Template:
    """A parsed template. `functions` are the names that it may call; raises TemplateError."""

    def __init__(self, text: str, functions: Collection[str]) -> None:
        self._functions = functions
        self._named: dict[str, Block] = {}
        self._pieces = list(split(text))
        self._at = 0
        self._loops = 0
        self._declared: list[set[str]] = [{"$"}]
        self._block = self._parse_block(())
        if self._at < len(self._pieces):
            raise TemplateError(self._pieces[self._at][1], f"unexpected {{{{{self._pieces[self._at][2]}}}}}")

    def render(self, data: Any, functions: Functions) -> str:
        """The text for `data`. Raises TemplateError when something cannot be called as it is."""
        run, scope = _Run(functions, self._named), _Scope(None)
        scope.declare("$", data)
        try:
            _play(self._block, run, data, scope)
        except RecursionError:
            raise TemplateError(1, "templates call each other without an end") from None
        return "".join(run.out)

    # -- blocks

    def _parse_block(self, ends: Collection[str]) -> Block:
        """Steps up to one of the words in `ends`, at which it stops."""
        steps: list[Step] = []
        while self._at < len(self._pieces):
            kind, line, text = self._pieces[self._at]
            if kind == "text":
                self._at += 1
                if text:
                    steps.append(_writes(text))
                continue
            tokens = list(tokens_of(text, line))
            word = tokens[0].text if tokens and tokens[0].kind == "word" else ""
            if word in ends:
                return steps
            if word in ("end", "else"):
                raise TemplateError(line, f"unexpected {{{{{text.strip()}}}}}")
            self._at += 1
            if tokens and (step := self._parse_action(word, tokens, line)) is not None:
                steps.append(step)
        if ends:
            raise TemplateError(
                self._pieces[-1][1] if self._pieces else 1, "unexpected end of the template: no {{end}}"
            )
        return steps

    def _parse_action(self, word: str, tokens: list[Token], line: int) -> Step | None:
        match word:
            case "if" | "with":
                return self._parse_branch(word, tokens[1:], line)
            case "range":
                return self._parse_range(tokens[1:], line)
            case "define":
                self._parse_define(tokens[1:], line)
                return None
            case "template":
                return self._parse_template(tokens[1:], line)
            case "break" | "continue":
                if not self._loops:
                    raise TemplateError(line, f"{{{{{word}}}}} outside of {{{{range}}}}")
                return _raises(word)
            case "block":
                raise TemplateError(line, "{{block}} is not supported")
        return self._parse_statement(tokens, line)

    def _scoped(self, ends: Collection[str], declared: Collection[str] = ()) -> Block:
        self._declared.append(self._declared[-1] | set(declared))
        try:
            return self._parse_block(ends)
        finally:
            self._declared.pop()

    def _ending(self) -> tuple[list[Token], int]:
        """The {{else}} or {{end}} at which a block has stopped."""
        _, line, text = self._pieces[self._at]
        self._at += 1
        return list(tokens_of(text, line)), line

    def _parse_branch(self, word: str, tokens: list[Token], line: int) -> Step:
        name, condition = self._parse_named(tokens, line)
        then = self._scoped(("else", "end"), (name,) if name else ())
        ending, line = self._ending()
        otherwise: Block = ()
        if ending[0].text == "else":
            if len(ending) > 1 and ending[1].text == "if":
                otherwise = (self._parse_branch("if", ending[2:], line),)
            elif len(ending) > 1:
                raise TemplateError(line, f"{{{{else {ending[1].text}}}}} is not supported")
            else:
                otherwise = self._scoped(("end",))
                self._ending()
        moves = word == "with"

        def branch(run: _Run, dot: Any, scope: _Scope) -> None:
            inner = _Scope(scope)
            value = condition(run, dot, inner)
            if name:
                inner.declare(name, value)
            if value:
                _play(then, run, value if moves else dot, inner)
            else:
                _play(otherwise, run, dot, inner)

        return branch

    def _parse_range(self, tokens: list[Token], line: int) -> Step:
        names: list[str] = []
        declares = next((i for i, token in enumerate(tokens) if token.kind == "declare"), None)
        if declares is not None:
            names = [token.text for token in tokens[:declares] if token.kind == "variable"]
            if [t.kind for t in tokens[:declares]] not in (["variable"], ["variable", "comma", "variable"]):
                raise TemplateError(line, "a range declares one or two variables")
            tokens = tokens[declares + 1 :]
        items = self._parse_pipeline(tokens, line)
        self._loops += 1
        body = self._scoped(("else", "end"), names)
        self._loops -= 1
        ending, line = self._ending()
        otherwise: Block = ()
        if ending[0].text == "else":
            otherwise = self._scoped(("end",))
            self._ending()

        def loop(run: _Run, dot: Any, scope: _Scope) -> None:
            pairs = _pairs(items(run, dot, scope), line)
            if not pairs:
                _play(otherwise, run, dot, _Scope(scope))
            for pair in pairs:
                inner = _Scope(scope)
                for name, value in zip(names, pair if len(names) == 2 else pair[1:], strict=False):
                    inner.declare(name, value)
                try:
                    _play(body, run, pair[1], inner)
                except _Flow as flow:
                    if flow.word == "break":
                        break

        return loop

    def _parse_define(self, tokens: list[Token], line: int) -> None:
        if len(tokens) != 1 or tokens[0].kind != "string":
            raise TemplateError(line, "{{define}} takes a name")
        outside, self._declared, loops, self._loops = self._declared, [{"$"}], self._loops, 0
        self._named[unquoted(tokens[0].text, line)] = self._parse_block(("end",))
        self._declared, self._loops = outside, loops
        self._ending()

    def _parse_template(self, tokens: list[Token], line: int) -> Step:
        if not tokens or tokens[0].kind != "string":
            raise TemplateError(line, "{{template}} takes a name")
        name = unquoted(tokens[0].text, line)
        data = self._parse_pipeline(tokens[1:], line) if len(tokens) > 1 else None

        def call(run: _Run, dot: Any, scope: _Scope) -> None:
            block = run.templates.get(name)
            if block is None:
                raise TemplateError(line, f'template "{name}" is not defined')
            value = data(run, dot, scope) if data is not None else None
            inner = _Scope(None)
            inner.declare("$", value)
            _play(block, run, value, inner)

        return call

    def _parse_statement(self, tokens: list[Token], line: int) -> Step:
        """A pipeline that is written, or declares or changes a variable."""
        if len(tokens) > 1 and tokens[0].kind == "variable" and tokens[1].kind in ("declare", "assign"):
            name, value = tokens[0].text, self._parse_pipeline(tokens[2:], line)
            if tokens[1].kind == "declare":
                self._declared[-1].add(name)
                return lambda run, dot, scope: scope.declare(name, value(run, dot, scope))
            if name not in self._declared[-1]:
                raise TemplateError(line, f"undefined variable {name}")
            return lambda run, dot, scope: scope.assign(name, value(run, dot, scope))
        shown = self._parse_pipeline(tokens, line)
        return lambda run, dot, scope: run.out.append(go_print(shown(run, dot, scope)))

    def _parse_named(self, tokens: list[Token], line: int) -> tuple[str, Value]:
        if len(tokens) > 1 and tokens[0].kind == "variable" and tokens[1].kind == "declare":
            return tokens[0].text, self._parse_pipeline(tokens[2:], line)
        return "", self._parse_pipeline(tokens, line)

    # -- pipelines

    def _parse_pipeline(self, tokens: list[Token], line: int) -> Value:
        calls: list[list[Token]] = [[]]
        depth = 0
        for token in tokens:
            depth += (token.kind == "open") - (token.kind == "close")
            if token.kind == "pipe" and not depth:
                calls.append([])
            else:
                calls[-1].append(token)
        if depth:
            raise TemplateError(line, "parentheses do not match")
        value: Value | None = None
        for call in calls:
            value = self._parse_call(call, line, value)
        assert value is not None
        return value

    def _parse_call(self, tokens: list[Token], line: int, piped: Value | None) -> Value:
        if not tokens:
            raise TemplateError(line, "missing value")
        if tokens[0].kind == "word" and tokens[0].text not in ("true", "false", "nil"):
            name = tokens[0].text
            if name not in self._functions and name not in ("and", "or"):
                raise TemplateError(line, f'function "{name}" is not supported')
            arguments = self._parse_operands(tokens[1:], line) + ([piped] if piped else [])
            return _short(name == "or", arguments) if name in ("and", "or") else _calls(name, arguments, line)
        operands = self._parse_operands(tokens, line)
        if len(operands) > 1 or piped is not None:
            raise TemplateError(line, "what is no function cannot be given arguments")
        return operands[0]

    def _parse_operands(self, tokens: list[Token], line: int) -> list[Value]:
        operands: list[Value] = []
        index = 0
        while index < len(tokens):
            token = tokens[index]
            if token.kind == "field" and token.glued and operands:
                operands[-1] = _field(operands[-1], token.text[1:])
            elif token.kind == "open":
                end = closing(tokens, index)
                operands.append(self._parse_pipeline(tokens[index + 1 : end], line))
                index = end
            else:
                operands.append(self._parse_operand(token, line))
            index += 1
        return operands

    def _parse_operand(self, token: Token, line: int) -> Value:
        match token.kind:
            case "dot":
                return lambda run, dot, scope: dot
            case "field":
                return _field(lambda run, dot, scope: dot, token.text[1:])
            case "variable":
                if token.text not in self._declared[-1]:
                    raise TemplateError(line, f"undefined variable {token.text}")
                return lambda run, dot, scope: scope.get(token.text)
            case "string" | "number":
                return _constant(unquoted(token.text, line) if token.kind == "string" else number(token.text, line))
            case "word" if token.text in ("true", "false", "nil"):
                return _constant({"true": True, "false": False, "nil": None}[token.text])
            case "word" if token.text in self._functions:
                return _calls(token.text, [], line)
        raise TemplateError(line, f"unexpected {token.text!r}")


def _play(block: Block, run: _Run, dot: Any, scope: _Scope) -> None:
    for step in block:
        step(run, dot, scope)


def _writes(text: str) -> Step:
    return lambda run, dot, scope: run.out.append(text)


def _raises(word: str) -> Step:
    def leave(run: _Run, dot: Any, scope: _Scope) -> None:
        raise _Flow(word)

    return leave


def _constant(value: Any) -> Value:
    return lambda run, dot, scope: value


def _field(of: Value, name: str) -> Value:
    def read(run: _Run, dot: Any, scope: _Scope) -> Any:
        value = of(run, dot, scope)
        return value.get(name) if isinstance(value, Mapping) else None

    return read


def _short(stops_at: bool, arguments: Sequence[Value]) -> Value:
    """`or` answers the first operand that is something, `and` the first that is nothing, else both the last."""

    def read(run: _Run, dot: Any, scope: _Scope) -> Any:
        value = None
        for argument in arguments:
            value = argument(run, dot, scope)
            if bool(value) is stops_at:
                break
        return value

    return read


def _calls(name: str, arguments: Sequence[Value], line: int) -> Value:
    def read(run: _Run, dot: Any, scope: _Scope) -> Any:
        given = [argument(run, dot, scope) for argument in arguments]
        try:
            return run.functions[name](*given)
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise TemplateError(line, f"error calling {name}: {error}") from None

    return read


def _pairs(value: Any, line: int) -> list[tuple[Any, Any]]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return sorted(value.items())
    if isinstance(value, list):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(index, index) for index in range(value)]
    raise TemplateError(line, f"range can't iterate over {go_print(value)}")
