"""The parser: precedence climbing over the tokens, with macros turned into `Fold` and `has` as they are met.

It stops at the first syntax error (upstream's generated parser recovers and may list more). Nesting is bounded, so a
hostile text cannot exhaust the stack. Upstream: cel-go `parser/parser.go`, `parser/macro.go`, `ext/comprehensions.go`.
"""

from __future__ import annotations

from .errors import Issues
from .lexer import Token, tokenize
from .syntax import Call, Const, Fold, Ident, ListNode, MapNode, Node, Select, Struct, dotted_name
from .types import BOOL, BYTES, DOUBLE, INT, KEYWORDS, NULL, STRING, UINT
from .values import MAX_INT, MAX_UINT, UInt

MAX_DEPTH = 100
"""Levels of nesting. Upstream allows 250; the evaluator takes several Python frames a level."""
MAX_SOURCE = 100_000
RESERVED = KEYWORDS - {"in", "true", "false", "null"}
_LEVELS = (("<", "<=", ">=", ">", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))
_EXPRESSION = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)
_QUANTIFIERS = ("all", "exists", "exists_one", "existsOne")
_TRANSFORMS = ("transformList", "transformMap", "transformMapEntry")
MACROS = {
    **{(name, 2): 1 for name in (*_QUANTIFIERS, "map", "filter", "optMap", "optFlatMap")},
    ("map", 3): 1,
    **{(name, 3): 2 for name in (*_QUANTIFIERS, *_TRANSFORMS)},
    **{(name, 4): 2 for name in _TRANSFORMS},
}
"""(macro, number of arguments) -> how many of them are variables."""


class _Stop(Exception):
    """A syntax error has been reported."""


def parse(source: str, issues: Issues, *, bindings: bool = False) -> Node:
    """The tree of a source; raises CompileError with what is wrong. `bindings` allows `cel.bind(x, value, result)`."""
    if len(source) > MAX_SOURCE:
        issues.add(0, f"expression code point size exceeds limit: size: {len(source)}, limit {MAX_SOURCE}")
        issues.raise_if_any()
    tokens = tokenize(source, issues)
    issues.raise_if_any()
    parser = _Parser(tokens, issues, bindings)
    node: Node = Const(0, None)
    try:
        node = parser.expression()
        if parser.token.kind != "end":
            parser.fail(parser.token, f"mismatched input '{parser.token.text}' expecting <EOF>")
    except _Stop:
        pass
    issues.raise_if_any()
    return node


class _Parser:
    def __init__(self, tokens: list[Token], issues: Issues, bindings: bool) -> None:
        self.tokens = tokens
        self.issues = issues
        self.bindings = bindings
        self.index = 0
        self.token = tokens[0]
        self.depth = 0

    def advance(self) -> Token:
        """The current token, which is then behind us."""
        token = self.token
        if token.kind != "end":
            self.index += 1
            self.token = self.tokens[self.index]
        return token

    def at(self, kind: str) -> bool:
        return self.token.kind == kind

    def skip(self, kind: str) -> bool:
        """Whether the token is of this kind; then it is passed."""
        if self.token.kind == kind:
            self.advance()
            return True
        return False

    def expect(self, kind: str) -> Token:
        if self.token.kind != kind:
            name = "IDENTIFIER" if kind == "ident" else f"'{kind}'"
            self.fail(self.token, f"mismatched input '{self.token.text}' expecting {name}")
        return self.advance()

    def fail(self, token: Token, message: str) -> None:
        self.issues.add(token.pos, f"Syntax error: {message}")
        raise _Stop

    def expression(self) -> Node:
        """`a ? b : c` and everything that binds tighter."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.issues.add(self.token.pos, f"expression recursion limit exceeded: {MAX_DEPTH}")
            raise _Stop
        node = self.logical("||", "_||_")
        if self.at("?"):
            pos = self.advance().pos
            yes = self.logical("||", "_||_")
            self.expect(":")
            node = Call(pos, "_?_:_", None, [node, yes, self.expression()])
        self.depth -= 1
        return node

    def logical(self, operator: str, name: str) -> Node:
        """A chain of `||` or `&&` is one flat call, so that long chains are not deep."""
        first = self.logical("&&", "_&&_") if operator == "||" else self.binary(0)
        if not self.at(operator):
            return first
        pos, args = self.token.pos, [first]
        while self.skip(operator):
            args.append(self.logical("&&", "_&&_") if operator == "||" else self.binary(0))
        return Call(pos, name, None, args)

    def binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self.unary()
        node = self.binary(level + 1)
        terms = 0
        while self.token.text in _LEVELS[level] and self.token.kind in (*_LEVELS[level], "ident"):
            operator = self.advance()
            terms += 1
            if terms > MAX_DEPTH * 2:
                self.issues.add(operator.pos, f"expression recursion limit exceeded: {MAX_DEPTH * 2}")
                raise _Stop
            name = "@in" if operator.text == "in" else f"_{operator.text}_"
            node = Call(operator.pos, name, None, [node, self.binary(level + 1)])
        return node

    def unary(self) -> Node:
        if not (self.at("!") or self.at("-")):
            return self.member(self.primary())
        operator = self.token
        count = 0
        while self.skip(operator.kind):
            count += 1
        if operator.kind == "-" and self.token.kind in ("int", "float"):
            number = self.advance()
            node = self.member(self.number(Token(number.kind, number.text, operator.pos, -number.value)))
            count -= 1
        else:
            node = self.member(self.primary())
        if count % 2 == 0:
            return node
        return Call(operator.pos, "!_" if operator.kind == "!" else "-_", None, [node])

    def member(self, node: Node) -> Node:
        """Selections, calls and indices that follow a primary expression."""
        steps = 0
        while True:
            steps += 1
            if steps > MAX_DEPTH * 2:
                self.issues.add(self.token.pos, f"expression recursion limit exceeded: {MAX_DEPTH * 2}")
                raise _Stop
            if self.at("."):
                node = self.selection(node)
            elif self.at("["):
                pos = self.advance().pos
                optional = self.skip("?")
                key = self.expression()
                self.expect("]")
                node = Call(pos, "_[?_]" if optional else "_[_]", None, [node, key])
            elif self.at("{") and (name := dotted_name(node)):
                node = self.struct(name)
            else:
                return node

    def selection(self, node: Node) -> Node:
        dot = self.advance()
        optional = self.skip("?")
        field = self.expect("ident")
        if field.text in ("in", "true", "false", "null"):
            self.fail(field, f"no viable alternative at input '.{field.text}'")
        if not optional and self.at("("):
            pos = self.advance().pos
            return self.method(node, field.text, pos, self.arguments(")"))
        return Select(dot.pos, node, field.text, optional)

    def arguments(self, end: str) -> list[Node]:
        args: list[Node] = []
        while not self.at(end):
            args.append(self.expression())
            if not self.skip(","):
                break
        self.expect(end)
        return args

    def method(self, target: Node, name: str, pos: int, args: list[Node]) -> Node:
        """A call on a target, or the macro of that name and shape."""
        if count := MACROS.get((name, len(args))):
            return self.fold(target, name, pos, args, count)
        if self.bindings and (name, len(args)) == ("bind", 3) and isinstance(target, Ident) and target.name == "cel":
            return self.fold(args[1], name, pos, [args[0], args[2]], 1)
        return Call(pos, name, target, args)

    def fold(self, target: Node, name: str, pos: int, args: list[Node], count: int) -> Node:
        names: list[str] = []
        for arg in args[:count]:
            if not isinstance(arg, Ident) or arg.name in names:
                self.issues.add(
                    arg.pos, "argument must be a simple name" if count == 1 else "duplicate iteration variable"
                )
                raise _Stop
            names.append(arg.name)
        macro = "exists_one" if name == "existsOne" else name
        return Fold(pos, macro, target, tuple(names), args[count:])

    def primary(self) -> Node:
        token = self.token
        if token.kind in ("int", "uint", "float"):
            return self.number(self.advance())
        if token.kind in ("string", "bytes"):
            self.advance()
            return Const(token.pos, token.value, type=STRING if token.kind == "string" else BYTES)
        if token.kind == "(":
            self.advance()
            node = self.expression()
            self.expect(")")
            return node
        if token.kind == "[":
            return self.list_literal()
        if token.kind == "{":
            return self.map_literal()
        return self.name()

    def number(self, token: Token) -> Node:
        value = token.value
        if token.kind == "float":
            return Const(token.pos, value, type=DOUBLE)
        if token.kind == "uint":
            if value > MAX_UINT:
                self.fail(token, "invalid uint literal")
            return Const(token.pos, UInt(value), type=UINT)
        if not -MAX_INT - 1 <= value <= MAX_INT:
            self.fail(token, "invalid int literal")
        return Const(token.pos, value, type=INT)

    def name(self) -> Node:
        dotted = self.skip(".")
        token = self.token
        if token.kind != "ident" or token.text == "in":
            self.fail(token, f"mismatched input '{token.text}' expecting {_EXPRESSION}")
        self.advance()
        if not dotted and token.text in ("true", "false"):
            return Const(token.pos, token.text == "true", type=BOOL)
        if not dotted and token.text == "null":
            return Const(token.pos, None, type=NULL)
        if token.text in RESERVED:
            self.issues.add(token.pos, f"reserved identifier: {token.text}")
            raise _Stop
        if not self.at("("):
            return Ident(token.pos, token.text)
        pos = self.advance().pos
        args = self.arguments(")")
        if token.text == "has" and len(args) == 1:
            return self.has(args[0], pos)
        return Call(pos, token.text, None, args)

    def has(self, arg: Node, pos: int) -> Node:
        if not isinstance(arg, Select) or arg.optional:
            self.issues.add(arg.pos, "invalid argument to has() macro")
            raise _Stop
        return Select(pos, arg.operand, arg.field, test=True)

    def list_literal(self) -> Node:
        pos = self.advance().pos
        items: list[Node] = []
        optional: set[int] = set()
        while not self.at("]"):
            if self.skip("?"):
                optional.add(len(items))
            items.append(self.expression())
            if not self.skip(","):
                break
        self.expect("]")
        return ListNode(pos, items, frozenset(optional))

    def map_literal(self) -> Node:
        pos = self.advance().pos
        entries: list[tuple[Node, Node, bool]] = []
        while not self.at("}"):
            optional = self.skip("?")
            key = self.expression()
            self.expect(":")
            entries.append((key, self.expression(), optional))
            if not self.skip(","):
                break
        self.expect("}")
        return MapNode(pos, entries)

    def struct(self, name: str) -> Node:
        pos = self.advance().pos
        fields: list[tuple[int, str, Node, bool]] = []
        while not self.at("}"):
            optional = self.skip("?")
            field = self.expect("ident")
            colon = self.expect(":")
            fields.append((colon.pos, field.text, self.expression(), optional))
            if not self.skip(","):
                break
        self.expect("}")
        return Struct(pos, name, fields)
