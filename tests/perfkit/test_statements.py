"""A fingerprint is the statement without its values, whatever its author did with spaces."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.statements import (
    ELLIPSIS,
    MAX_LENGTH,
    fingerprint,
    is_transaction_control,
)

CASES = [
    ("select  1\n\t, 'a'", "select ?, ?"),
    ("SELECT 'it''s', E'it\\'s', x'ff', N'a', U&'d', ''", "SELECT ?, ?, ?, ?, ?, ?"),
    ("SELECT $$a'b$$, $tag$c $$ d$tag$, 1", "SELECT ?, ?, ?"),
    ("SELECT 1, -2, 1.5, .5, 1e-3, 0xFF, 1_000", "SELECT ?, ?, ?, ?, ?, ?, ?"),
    ("SELECT %s, %(name)s, $1, ?, ?2, :name, @p1", "SELECT ?, ?, ?, ?, ?, ?, ?"),
    ("SELECT t1.a2 FROM t1", "SELECT t1.a2 FROM t1"),
    ("SELECT a::int, b [1]", "SELECT a::int, b[?]"),
    ("a=-1 AND b - 1 < -2", "a = ? AND b - ? < ?"),
    ("a -- '1\n= 1 /* 'x */", "a = ?"),
    ("SELECT true, a IS TRUE, b is not false", "SELECT ?, a IS TRUE, b is not false"),
    ("x IN (1,2,3)", "x IN (?)"),
    ("x in (1)", "x in (?)"),
    ("(a, b) IN ((1, 'x'), (2, NULL))", "(a, b) IN (?)"),
    ("x IN (?::int, ?::timestamp with time zone)", "x IN (?)"),
    ("x IN (SELECT y FROM t WHERE z IN (1, 2))", "x IN (SELECT y FROM t WHERE z IN (?))"),
    ("x IN (a, b)", "x IN (a, b)"),
    ("x = ANY(ARRAY[1, 2])", "x = ANY (ARRAY[?])"),
    ("INSERT INTO t (a,b) VALUES (1,2), (3,DEFAULT)", "INSERT INTO t(a, b) VALUES (?)"),
    (
        "INSERT INTO t VALUES (now(), 1), (now(), 2) RETURNING id",
        "INSERT INTO t VALUES (now(), ?) RETURNING id",
    ),
    ('SELECT "a ""b", `c`', 'SELECT "a ""b", `c`'),
    ("SELECT 'open", "SELECT ?"),
    ("SELECT $$open", "SELECT ?"),
    ("SELECT 1 /* open", "SELECT ?"),
    ("data ->> 'key' @> '{}'", "data ->> ? @> ?"),
    ("", ""),
]


@pytest.mark.parametrize(("statement", "expected"), CASES)
def test_values_comments_and_spaces_are_gone_and_lists_folded(
    statement: str, expected: str
) -> None:
    assert fingerprint(statement) == expected


@pytest.mark.parametrize(("statement", "expected"), CASES)
def test_the_fingerprint_of_a_fingerprint_is_itself(statement: str, expected: str) -> None:
    assert fingerprint(fingerprint(statement)) == fingerprint(statement)


def test_statements_of_mysql_are_read_with_its_strings_and_comments() -> None:
    statement = """SELECT "a\\" s3cret", 'it\\'s s3cret' # s3cret\nFROM `t`"""

    assert fingerprint(statement, backslashes=True) == "SELECT ?, ? FROM `t`"


def test_a_backslash_is_an_ordinary_character_elsewhere() -> None:
    assert fingerprint("SELECT 'C:\\', a, 'b'") == "SELECT ?, a, ?"


SECRET = "s3cret"
quotes = st.sampled_from(["'{}'", "E'\\'{}'", "$${}$$", "$q${}$q$", "x'{}'", "'it''s {}'"])
literals = quotes.map(lambda quote: quote.format(SECRET)) | st.integers(0).map(str)
spaces = st.sampled_from([" ", "\n", "  ", "/* s3cret ' */", " -- s3cret '\n"])
words = st.sampled_from(
    ["SELECT", "a", "t.b", "IN", "(", ")", ",", "VALUES", "=", "<", "::", "->>"]
)


@given(st.lists(st.tuples(words | literals, spaces), max_size=30))
def test_no_value_is_left_and_nothing_depends_on_spaces(tokens: list[tuple[str, str]]) -> None:
    spaced = "".join(token + space for token, space in tokens)
    plain = " ".join(token for token, _ in tokens)

    name = fingerprint(spaced)

    assert SECRET not in name
    assert not any(character.isdigit() for character in name)
    assert name == fingerprint(plain)
    assert fingerprint(name) == name


@given(st.text(alphabet="'\"$-/*\\(),?ab1 \n[]", max_size=200), st.booleans())
def test_any_text_has_a_fingerprint_of_bounded_length(text: str, backslashes: bool) -> None:
    assert len(fingerprint(text, backslashes=backslashes)) <= MAX_LENGTH


def test_a_long_statement_ends_in_an_ellipsis() -> None:
    name = fingerprint("SELECT " + "column_of_a_table, " * 100_000)

    assert len(name) == MAX_LENGTH
    assert name.endswith(ELLIPSIS)


def test_what_is_cut_off_within_a_list_is_folded_and_within_a_string_no_less() -> None:
    rows = fingerprint("INSERT INTO t VALUES " + "(1, 's3cret'), " * 10_000)
    string = fingerprint("SELECT '" + "s3cret " * 10_000)

    assert rows == f"INSERT INTO t VALUES (?) {ELLIPSIS}"
    assert string == f"SELECT ? {ELLIPSIS}"


@pytest.mark.parametrize(
    "piece",
    ["IN (", "(", "()", "'", '"', "`", "$a$", "$$ $", "/*", "%(", "VALUES (,", "_a", "1e", "\\"],
)  # fmt: skip
def test_hostile_statements_are_read_in_linear_time(piece: str) -> None:
    started = time.process_time()

    fingerprint(piece * 1_000_000, backslashes=len(piece) % 2 == 0)

    # A quadratic reading of what is looked at would take many seconds.
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BEGIN", True),
        ("commit;", True),
        ("ROLLBACK TO SAVEPOINT a", True),
        ("RELEASE SAVEPOINT a", True),
        ("START TRANSACTION", True),
        ("SELECT ?", False),
        ("beginning", False),
        ("", False),
    ],
)
def test_what_only_begins_or_ends_a_transaction_is_told(name: str, expected: bool) -> None:
    assert is_transaction_control(name) is expected
