"""What a client of this package can be told: one tree of errors, with upstream's words.

CelError
  CompileError        the text is no CEL, names something unknown, or has the wrong type; found before any document
    ResultTypeError   it is sound but does not yield what the place needs (`must evaluate to bool but got dyn`)
  EvaluationError     it failed on this document (`no such key: foo`)
    BudgetError       it cost more than it may; never swallowed by `||`, `all` and the like
"""

from __future__ import annotations


class CelError(Exception):
    """Anything that is wrong with an expression or its evaluation; `str()` is upstream's message."""


class CompileError(CelError):
    """The expression is refused: `compilation failed: ERROR: <input>:1:6: undeclared reference to 'x' ...`."""


class ResultTypeError(CompileError):
    """The expression has another type than the one asked for; CRDs and policies word this differently."""

    def __init__(self, expected: tuple[str, ...], found: str) -> None:
        wanted = expected[0] if len(expected) == 1 else f"one of [{' '.join(expected)}]"
        super().__init__(f"must evaluate to {wanted} but got {found}")
        self.expected = expected
        self.found = found


class EvaluationError(CelError):
    """The expression has no value for this document: `no such key: foo`, `index out of bounds: 3`."""


class BudgetError(EvaluationError):
    """The evaluation was ended because it cost too much."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


class Issues:
    """Collects what is wrong with one source text and words it as cel-go's `common.Errors` does."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[tuple[int, str]] = []

    def add(self, offset: int, message: str) -> None:
        """`offset` counts characters from the start of the source."""
        if len(self.found) < 100 and (offset, message) not in self.found:
            self.found.append((offset, message))

    def raise_if_any(self) -> None:
        """Raises CompileError with all that was found, in the order of the source."""
        if self.found:
            raise CompileError(
                "compilation failed: " + "\n".join(self._display(*issue) for issue in sorted(self.found))
            )

    def _display(self, offset: int, message: str) -> str:
        start = self.source.rfind("\n", 0, offset) + 1
        end = self.source.find("\n", offset)
        line = self.source[start : end if end >= 0 else len(self.source)].replace("\t", " ")
        number, column = self.source.count("\n", 0, offset) + 1, offset - start
        return f"ERROR: <input>:{number}:{column + 1}: {message}\n | {line}\n | {'.' * column}^"
