"""
ThreatConnect's query language, read into a tree.

::

    query    = disjunct { "or" disjunct }
    disjunct = term { "and" term }
    term     = "(" query ")" | "not" term | has "(" query ")" | field operator value
    value    = "text" | number | word | "(" value { "," value } ")"

Source: v3 API, filtering results with TQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["AllOf", "AnyOf", "Comparison", "Has", "Node", "Not", "TqlError", "parse"]

#: Deeper nesting is refused, so that no query can exhaust the stack.
_DEEPEST = 50
_LONGEST = 100_000

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<number>-?\d+(?:\.\d+)?(?![\w.-]))
      | (?P<symbol><=|>=|!=|<>|==|[=<>(),])
      | (?P<word>[\w.\-:+]+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

_OPERATORS = {
    "=": "=",
    "==": "=",
    "eq": "=",
    "!=": "!=",
    "<>": "!=",
    "ne": "!=",
    ">": ">",
    "gt": ">",
    "<": "<",
    "lt": "<",
    ">=": ">=",
    "geq": ">=",
    "<=": "<=",
    "leq": "<=",
    "in": "in",
    "like": "like",
    "contains": "contains",
    "startswith": "startswith",
    "endswith": "endswith",
}

#: Words that are no text when they stand without quotes.
_WORDS = {"false": 0, "true": 1}

Value = str | int | float


class TqlError(ValueError):
    """The query cannot be understood; the text says where."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    A field compared with a value.

    Attributes:
        field: The field in lower case.
        operator: ``=``, ``!=``, ``<``, ``>``, ``<=``, ``>=``, ``in``, ``like``, ``contains``,
            ``startswith`` or ``endswith``.
        values: The value, or all of those in a list.
    """

    field: str
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Node


@dataclass(frozen=True, slots=True)
class Has:
    """
    Something that belongs to the entity meets a query of its own.

    Attributes:
        what: ``tag``, ``attribute``, ``securitylabel``, ``group`` or ``indicator``.
        part: The query.
    """

    what: str
    part: Node


Node = Comparison | AllOf | AnyOf | Not | Has

_HAS = {
    "hastag": "tag",
    "hasattribute": "attribute",
    "hassecuritylabel": "securitylabel",
    "hasgroup": "group",
    "hasindicator": "indicator",
}


def parse(text: str) -> Node:
    """
    Read a query.

    Args:
        text: The query as it was sent.

    Returns:
        Its tree.

    Raises:
        TqlError: It is not one.
    """
    if len(text) > _LONGEST:
        raise TqlError("The query is too long")
    reader = _Reader(text)
    node = reader.query(0)
    if reader.peek()[0]:
        raise reader.error("the end")
    return node


class _Reader:
    """A recursive descent over the tokens of a query."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._next: tuple[str, str] | None = None

    def peek(self) -> tuple[str, str]:
        """Return kind and text of the next token, twice "" at the end."""
        if self._next is None:
            match = _TOKEN.match(self._text, self._at)
            if match is not None:
                self._at = match.end()
                kind = match.lastgroup or ""
                self._next = (kind, match.group(kind))
            elif self._text[self._at :].strip():
                raise self.error("a word or a value")
            else:
                self._next = ("", "")
        return self._next

    def take(self) -> tuple[str, str]:
        """Return the next token and go on."""
        token = self.peek()
        self._next = None
        return token

    def error(self, expected: str) -> TqlError:
        """Say where something else was expected."""
        return TqlError(f"Expected {expected} at position {self._at}")

    def accept(self, word: str) -> bool:
        """Take a symbol or a word, if it is the next one."""
        if self.peek()[0] in {"word", "symbol"} and self.peek()[1].lower() == word:
            self.take()
            return True
        return False

    def expect(self, symbol: str) -> None:
        """Take a symbol that must be next."""
        if not self.accept(symbol):
            raise self.error(symbol)

    def query(self, depth: int) -> Node:
        """Read parts joined by or."""
        if depth > _DEEPEST:
            raise TqlError("The query is nested too deeply")
        parts = [self.conjunction(depth)]
        while self.accept("or"):
            parts.append(self.conjunction(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def conjunction(self, depth: int) -> Node:
        """Read parts joined by and."""
        parts = [self.term(depth)]
        while self.accept("and"):
            parts.append(self.term(depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def term(self, depth: int) -> Node:
        """Read a comparison, or something in parentheses."""
        if depth > _DEEPEST:
            raise TqlError("The query is nested too deeply")
        if self.accept("not"):
            return Not(self.term(depth + 1))
        if self.accept("("):
            node = self.query(depth + 1)
            self.expect(")")
            return node
        kind, word = self.take()
        if kind != "word":
            raise self.error("a field")
        field = word.lower()
        if field in _HAS and self.accept("("):
            node = Has(_HAS[field], self.query(depth + 1))
            self.expect(")")
            return node
        return self.comparison(field)

    def comparison(self, field: str) -> Node:
        """Read what a field is compared with."""
        negated = self.accept("not")
        operator = _OPERATORS.get(self.take()[1].lower())
        if operator is None:
            raise self.error("an operator")
        values = self.values() if self.accept("(") else (self.value(),)
        if len(values) > 1 and operator != "in":
            raise self.error("a single value")
        node = Comparison(field, operator, values)
        return Not(node) if negated else node

    def values(self) -> tuple[Value, ...]:
        """Read a list of values up to its closing parenthesis."""
        found = [self.value()]
        while self.accept(","):
            found.append(self.value())
        self.expect(")")
        return tuple(found)

    def value(self) -> Value:
        """Read one value."""
        kind, text = self.take()
        if kind == "text":
            return _ESCAPED.sub(r"\1", text[1:-1])
        if kind == "number":
            return float(text) if "." in text or len(text) > 18 else int(text)  # noqa: PLR2004
        if kind == "word":
            return _WORDS.get(text.lower(), text)
        raise self.error("a value")
