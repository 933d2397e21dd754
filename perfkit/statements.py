"""Statements without their values: what a query is counted under.

A fingerprint has no literal, no parameter and no comment; lists after IN and VALUES are folded,
so that one row and a thousand are the same statement. It is made in one pass over the text.

Double quotes are taken for identifiers, as the standard says and MySQL does not; a statement
for MySQL says so with `backslashes`, which also reads them as MySQL does.
"""

from __future__ import annotations

import re
from functools import lru_cache

MAX_READ = 2_048
"""Characters of a statement that are looked at."""
MAX_LENGTH = 1_000
"""Characters of a fingerprint; a longer one ends in an ellipsis."""
CACHED = 1_024
"""Statements whose fingerprints are kept, by least recent use."""

ELLIPSIS = "…"
VALUE = "?"
LITERAL_WORDS = frozenset(("TRUE", "FALSE"))
PLAIN_WORDS = frozenset(("NULL", "DEFAULT"))
FOLDED = frozenset(("IN", "VALUES", "ARRAY"))
CLOSING = {"(": ")", "[": "]"}
ENDS_CAST = frozenset("([]),")
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
    "ALL", "AND", "ANY", "AS", "BY", "CASE", "COPY", "ELSE", "EXISTS", "FROM", "HAVING", "IN",
    "INTERSECT", "JOIN", "LIMIT", "NOT", "ON", "OR", "OVER", "SELECT", "SET", "SOME", "THEN",
    "UNION", "USING", "VALUES", "WHEN", "WHERE", "WITH",
))
# fmt: on

_STRING = r"'[^']*(?:''[^']*)*'?"
_ESCAPED = r"'[^'\\]*(?:(?:''|\\.)[^'\\]*)*'?"
_DOUBLE = r'"[^"]*(?:""[^"]*)*"?'
_ESCAPED_DOUBLE = r'"[^"\\]*(?:(?:""|\\.)[^"\\]*)*"?'


def _pattern(comment: str, string: str, value: str, kept: str) -> re.Pattern[str]:
    """Return a pattern of one token: its groups are a dollar quote's tag, a value and the rest.

    Comments and spaces are in none of the groups. What is open at the end of the text ends there,
    no alternative tries again what it has tried, so that reading is linear.
    """
    return re.compile(
        rf"""
          \s+ | --[^\n]* | /\*.*?(?:\*/|\Z) {comment}
        | ( [eE]{_ESCAPED} | (?:[bBnNxX]|[uU]&|_[a-z0-9]+)?{string} {value}
          | \$((?:[^\W\d]\w*)?)\$.*?(?:\$\2\$|\Z)
          | (?:\d|\.\d)(?:\w|\.(?=\d)|(?<=[eE])[-+](?=\d))*
          | \$\d+ | %\([^()\s]{{0,64}}\)[sbt] | %[sbt](?!\w) | \?\d* | (?<![:\w]):[^\W\d]\w* | @\w+
          )
        | ( {kept} | `[^`]*`? | [^\W\d][\w$]* | ::|:=|->>|->|@>|<@|@@
          | (?:(?!--|/\*)[*/<>=~!\#^&|])+ | .
          )
        """,
        re.VERBOSE | re.DOTALL,
    )


_STANDARD = _pattern("", _STRING, "", _DOUBLE)
_MYSQL = _pattern(r"| \#[^\n]*", _ESCAPED, f"| {_ESCAPED_DOUBLE}", "(?!)")


def fingerprint(statement: str, *, backslashes: bool = False) -> str:
    """Return a statement without its values, at most `MAX_LENGTH` characters.

    Args:
        statement: One or more statements, complete or not.
        backslashes: Whether strings are MySQL's: with backslashes, and in double quotes too.
    """
    return _fingerprint(statement[: MAX_READ + 1], backslashes)


@lru_cache(maxsize=CACHED)
def is_transaction_control(fingerprint: str) -> bool:
    """Whether a statement only begins or ends a transaction, or a part of one."""
    word = re.match(r"\w*", fingerprint)
    return word is not None and word.group().upper() in TRANSACTION_CONTROL


@lru_cache(maxsize=CACHED)
def _fingerprint(statement: str, backslashes: bool) -> str:
    tokens = _folded(_tokens(statement[:MAX_READ], backslashes))
    if len(statement) > MAX_READ:
        tokens.append(ELLIPSIS)
    text = _spaced(tokens)
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + ELLIPSIS


def _tokens(text: str, backslashes: bool) -> list[str]:
    """Return what is neither space nor comment, with every value replaced."""
    pattern = _MYSQL if backslashes else _STANDARD
    tokens: list[str] = []
    for value, _, kept in pattern.findall(text):
        if kept:
            is_value = kept.upper() in LITERAL_WORDS and (
                not tokens or tokens[-1].upper() not in ("IS", "NOT")
            )
            tokens.append(VALUE if is_value else kept)
        elif value:
            tokens.append(VALUE)
    return tokens


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
    in_cast = False
    for index, token in enumerate(tokens):
        # A cast goes on to the next element, as in `?::timestamp with time zone`.
        in_cast = token == "::" or (in_cast and token not in ENDS_CAST)
        if token in CLOSING:
            open_groups.append(_Group(index))
        elif token in CLOSING.values() and len(open_groups) > 1:
            closed = open_groups.pop()
            groups[closed.start] = (index + 1, closed.has_value and closed.is_plain)
            open_groups[-1].has_value |= closed.has_value
            open_groups[-1].is_plain &= closed.is_plain
        elif token == VALUE or token.upper() in PLAIN_WORDS:
            open_groups[-1].has_value = True
        elif not in_cast and token not in SIGNS and token != ",":
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
