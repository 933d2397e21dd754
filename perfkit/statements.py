"""Statements without their values: what a query is counted under.

A fingerprint has no literal, no parameter and no comment; lists after IN and VALUES are folded,
so that one row and a thousand are the same statement. It is made in one pass over the text.

Double quotes are taken for identifiers, as the standard says and MySQL does not; a statement
for MySQL says so with `backslashes`, which also reads them as MySQL does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

MAX_READ = 16_384
"""Characters of a statement that are looked at."""
MAX_LENGTH = 1_000
"""Characters of a fingerprint; a longer one ends in an ellipsis."""
CACHED = 2_048
"""Statements whose fingerprints are kept, by least recent use."""
CACHED_LENGTH = 4_096
"""Characters of the longest statement that is kept; longer ones have their values inside."""

ELLIPSIS = "…"
VALUE = "?"
LITERAL_WORDS = frozenset(("TRUE", "FALSE"))
PLAIN_WORDS = frozenset(("NULL", "DEFAULT"))
FOLDED = frozenset(("IN", "VALUES", "ARRAY"))
CLOSING = {"(": ")", "[": "]"}
SIGNS = frozenset("+-")
BEFORE_SIGNS = frozenset(("=", "<", ">", "<=", ">=", "<>", "!=", "(", "[", ","))
TOUCH_BEFORE = frozenset((")", "]", ",", ";", ".", "::", "["))
TOUCH_AFTER = frozenset(("(", "[", ".", "::"))
TRANSACTION_CONTROL = frozenset(
    ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE")
)
# After these a parenthesis is not the start of a function's arguments.
# fmt: off
APART = frozenset((
    "ALL", "AND", "ANY", "AS", "BY", "CASE", "ELSE", "EXISTS", "FROM", "HAVING", "IN",
    "INTERSECT", "JOIN", "LIMIT", "NOT", "ON", "OR", "OVER", "SELECT", "SET", "SOME", "THEN",
    "UNION", "USING", "VALUES", "WHEN", "WHERE", "WITH",
))
# fmt: on

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>--[^\n]*|/\*)
    | (?P<string>(?:[bBeEnNxX]|[uU]&|_[a-z0-9]+)?')
    | (?P<quoted>"[^"]*(?:""[^"]*)*"?|`[^`]*`?)
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<value>
          (?:\d|\.\d)(?:\w|\.(?=\d)|(?<=[eE])[-+](?=\d))*    # a number
        | \$\d+ | %\([^()\s]{0,64}\)[sbt] | %[sbt](?!\w) | \?\d* | (?<![:\w]):[^\W\d]\w* | @\w+
      )
    | (?P<word>[^\W\d][\w$]*)
    | (?P<operator>::|:=|->>|->|@>|<@|@@|(?:(?!--|/\*)[*/<>=~!\#^&|])+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
# What is left of a string after its opening quote; the end of the text ends an open one.
_STRING_REST = re.compile(r"[^']*(?:''[^']*)*'?")
_ESCAPED_REST = re.compile(r"[^'\\]*(?:(?:''|\\.)[^'\\]*)*'?", re.DOTALL)
_ESCAPED_DOUBLE_REST = re.compile(r'[^"\\]*(?:(?:""|\\.)[^"\\]*)*"?', re.DOTALL)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def fingerprint(statement: str, *, backslashes: bool = False) -> str:
    """Return a statement without its values, at most `MAX_LENGTH` characters.

    Args:
        statement: One or more statements, complete or not.
        backslashes: Whether strings are MySQL's: with backslashes, and in double quotes too.
    """
    if len(statement) <= CACHED_LENGTH:
        return _cached(statement, backslashes)
    return _fingerprint(statement, backslashes)


@lru_cache(maxsize=CACHED)
def is_transaction_control(fingerprint: str) -> bool:
    """Whether a statement only begins or ends a transaction, or a part of one."""
    word = re.match(r"\w*", fingerprint)
    return word is not None and word.group().upper() in TRANSACTION_CONTROL


def _fingerprint(statement: str, backslashes: bool) -> str:
    tokens = list(_tokens(statement[:MAX_READ], backslashes))
    if len(statement) > MAX_READ:
        tokens.append(ELLIPSIS)
    text = _spaced(_folded(tokens))
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + ELLIPSIS


_cached = lru_cache(maxsize=CACHED)(_fingerprint)


def _tokens(text: str, backslashes: bool) -> Iterator[str]:
    """Yield what is neither space nor comment, with every value replaced."""
    position = 0
    before = ""
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match is not None  # the last alternative takes any character
        kind, token, position = match.lastgroup, match.group(), match.end()
        if kind == "space":
            continue
        if kind == "comment":
            position = _comment_end(text, position) if token == "/*" else position
            continue
        if kind == "string":
            escaped = backslashes or token[0] in "eE"
            position = _end(_ESCAPED_REST if escaped else _STRING_REST, text, position)
        elif kind == "quoted" and backslashes and token[0] == '"':
            position = _end(_ESCAPED_DOUBLE_REST, text, match.start() + 1)
            kind = "string"
        elif kind == "dollar":
            end = text.find(token, position)
            position = len(text) if end < 0 else end + len(token)
        elif backslashes and token == "#":
            position = len(text) if (end := text.find("\n", position)) < 0 else end
            continue
        if kind in ("string", "dollar", "value") or _is_literal_word(token, before):
            token = VALUE
        before = token
        yield token


def _is_literal_word(token: str, before: str) -> bool:
    return token.upper() in LITERAL_WORDS and before.upper() not in ("IS", "NOT")


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    assert match is not None  # each of them matches nothing as well
    return match.end()


def _comment_end(text: str, position: int) -> int:
    """Return where a comment ends whose opening was read; comments may lie within comments."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, position):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


def _folded(tokens: list[str]) -> list[str]:
    """Fold what follows IN, VALUES and ARRAY, and signs before values."""
    groups = _groups(tokens)
    folded: list[str] = []
    rows_ends: dict[int, int] = {}
    index = 0
    while index < len(tokens):
        token = tokens[index]
        before = folded[-1].upper() if folded else ""
        if index in groups and before in FOLDED:
            end, only_values = groups[index]
            rows_end = _rows_end(tokens, groups, end) if before == "VALUES" else end
            if only_values:
                folded += [token, VALUE, CLOSING[token]]
                index = rows_end
                continue
            rows_ends[end] = rows_end
        is_sign = token in SIGNS and before in BEFORE_SIGNS
        if not (is_sign and tokens[index + 1 : index + 2] == [VALUE]):
            folded.append(token)
        index += 1
        index = rows_ends.get(index, index)
    return folded


def _groups(tokens: list[str]) -> dict[int, tuple[int, bool]]:
    """Return for each opening bracket where its group ends, and whether it has only values."""
    groups: dict[int, tuple[int, bool]] = {}
    open_groups: list[_Group] = [_Group(-1)]
    for index, token in enumerate(tokens):
        if token in CLOSING:
            open_groups.append(_Group(index))
        elif token in CLOSING.values() and len(open_groups) > 1:
            closed = open_groups.pop()
            groups[closed.start] = (index + 1, closed.has_value and closed.is_plain)
            open_groups[-1].has_value |= closed.has_value
            open_groups[-1].is_plain &= closed.is_plain
        elif token == VALUE or token.upper() in PLAIN_WORDS:
            open_groups[-1].has_value = True
        elif token not in SIGNS and token not in (",", ELLIPSIS):
            open_groups[-1].is_plain = False
    is_plain = True
    for group in reversed(open_groups[1:]):  # the statement is cut off within them
        is_plain &= group.is_plain
        groups[group.start] = (len(tokens), is_plain)
    return groups


class _Group:
    """A pair of brackets of which the opening one has been read."""

    __slots__ = ("has_value", "is_plain", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.has_value = False
        self.is_plain = True


def _rows_end(tokens: list[str], groups: dict[int, tuple[int, bool]], index: int) -> int:
    """Return the end of the rows that follow the first one after VALUES: they are like it."""
    while tokens[index : index + 2] == [",", "("]:
        index, _ = groups[index + 1]
    return index


def _spaced(tokens: list[str]) -> str:
    """Join tokens in one way, whatever the spaces were."""
    parts: list[str] = []
    before = "("
    for token in tokens:
        if not _touch(before, token):
            parts.append(" ")
        parts.append(token)
        before = token
    return "".join(parts)


def _touch(before: str, token: str) -> bool:
    if token in TOUCH_BEFORE or before in TOUCH_AFTER:
        return True
    is_name = before[-1].isalnum() or before[-1] in '_"`'
    return token == "(" and is_name and before.upper() not in APART
