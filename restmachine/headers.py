"""Header fields: the multi-map, and the values that several rooms read and write.

Everything follows RFC 9110: field names and values (sections 5.1 and 5.5), lists
(5.6.1), dates (5.6.7), media types (8.3.1), entity tags (8.8.3), weights (12.4.2) and
Vary (12.5.5). Parsers take whatever a client sends: they return None, or leave out the
member they cannot read, and never raise. What the application itself sets is checked
when it is set, so that a mistake shows where it was made and not on the wire.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar, overload

Default = TypeVar("Default")

Pair = tuple[bytes, bytes]
"""A field as it is sent: name and value."""

ANY_TAG: Final = "*"
"""What If-Match and If-None-Match say instead of a list of entity tags."""

_WHITESPACE: Final = " \t"
_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_is_token = re.compile(_TOKEN).fullmatch
_is_field_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch


class InvalidHeaderError(ValueError):
    """A field name or value that may not be sent (RFC 9110 sections 5.1 and 5.5)."""


@lru_cache(maxsize=512)
def _folded(name: str) -> str:
    """Return the name by which fields are compared, after checking that it is a token."""
    if not isinstance(name, str) or not _is_token(name):
        raise InvalidHeaderError(
            f"{name!r:.80} is not a field name: use letters, digits and hyphens."
        )
    return name.lower()


def _checked(name: str, value: object) -> str:
    """Return *value* as text that may stand in a field line."""
    if value is None or isinstance(value, bytes):
        raise InvalidHeaderError(
            f"The field {name} was given {value!r:.80}: give text, or leave the field out."
        )
    text = value if isinstance(value, str) else str(value)
    # Nearly every value is printable ASCII, which these two tell faster than a pattern.
    if not (text.isascii() and text.isprintable()) and not _is_field_value(text):
        raise InvalidHeaderError(
            f"The field {name} cannot carry {text!r:.80}: line breaks, control characters "
            "and characters beyond Latin-1 are not allowed."
        )
    return text.strip(_WHITESPACE)


class MultiValueHeaders(MutableMapping[str, str]):
    """Header fields by name, whatever the case, each with one or more values.

    As a mapping it shows the first value of each name; `get_all` and `items_all` show
    them all. Names stand in the order in which they first came, the values of one name
    together and in their own order, which is all the order that HTTP gives a meaning
    (RFC 9110 section 5.3). Values are never joined: Set-Cookie could not be.

    Two collections are equal when they hold the same values for the same names,
    regardless of spelling and of the order of names.
    """

    __slots__ = ("_fields",)

    def __init__(
        self,
        fields: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
    ) -> None:
        # Folded name to the pairs of that name as they were spelt; no list is empty.
        self._fields: dict[str, list[tuple[str, str]]] = {}
        if isinstance(fields, MultiValueHeaders):
            self._fields = {name: pairs.copy() for name, pairs in fields._fields.items()}
        elif fields is not None:
            for name, value in fields.items() if isinstance(fields, Mapping) else fields:
                for single in value if isinstance(value, (list, tuple)) else (value,):
                    self.add(name, single)

    @classmethod
    def received(cls, pairs: Iterable[Pair]) -> MultiValueHeaders:
        """Return the fields that a server handed over, unchecked and read as Latin-1.

        A client's odd bytes are kept, as RFC 9110 section 5.5 allows: nothing of them is
        ever sent, since fields that are set are checked.
        """
        headers = cls()
        fields = headers._fields
        for raw_name, raw_value in pairs:
            name = raw_name.decode("latin-1")
            pair = (name, raw_value.decode("latin-1"))
            folded = name.lower()
            if folded in fields:
                fields[folded].append(pair)
            else:
                fields[folded] = [pair]
        return headers

    def encoded(self) -> list[Pair]:
        """Return every pair as ASGI wants it: bytes, the names in lower case."""
        return [
            (folded.encode("latin-1"), value.encode("latin-1"))
            for folded, pairs in self._fields.items()
            for _, value in pairs
        ]

    def add(self, name: str, value: object) -> None:
        """Append one value and keep those that are there.

        Raises:
            InvalidHeaderError: The name is no token, or the value could break the message.
        """
        folded = _folded(name)
        pair = (name, _checked(name, value))
        self._fields.setdefault(folded, []).append(pair)

    append = add

    def set(self, name: str, value: object) -> None:
        """Make *value* the only one of this name.

        Raises:
            InvalidHeaderError: The name is no token, or the value could break the message.
        """
        folded = _folded(name)
        self._fields[folded] = [(name, _checked(name, value))]

    __setitem__ = set

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    @overload
    def get(self, name: str, default: Default) -> str | Default: ...
    def get(self, name: str, default: object = None) -> object:
        """Return the first value of this name, or *default*."""
        pairs = self._fields.get(name.lower()) if isinstance(name, str) else None
        return pairs[0][1] if pairs else default

    def get_all(self, name: str) -> list[str]:
        """Return every value of this name in order, an empty list if there is none."""
        pairs = self._fields.get(name.lower(), ()) if isinstance(name, str) else ()
        return [value for _, value in pairs]

    def joined(self, name: str) -> str | None:
        """Return all values of a list field as the one list they mean, None if absent.

        Not for Set-Cookie, whose lines are no list (RFC 9110 section 5.3).
        """
        pairs = self._fields.get(name.lower())
        if pairs is None:
            return None
        return pairs[0][1] if len(pairs) == 1 else ", ".join(value for _, value in pairs)

    def items_all(self) -> list[tuple[str, str]]:
        """Return every pair of name, as it was spelt, and value."""
        return [pair for pairs in self._fields.values() for pair in pairs]

    def to_dict(self) -> dict[str, str]:
        """Return the first value of each name."""
        return {pairs[0][0]: pairs[0][1] for pairs in self._fields.values()}

    def to_multidict(self) -> dict[str, list[str]]:
        """Return all values of each name."""
        return {pairs[0][0]: [value for _, value in pairs] for pairs in self._fields.values()}

    def update(  # type: ignore[override]  # wider: several values per name, no keywords
        self, other: Mapping[str, Any] | Iterable[tuple[str, Any]]
    ) -> None:
        """Replace each name that *other* has by all of the values that it has there."""
        self._fields.update(MultiValueHeaders(other)._fields)

    def copy(self) -> MultiValueHeaders:
        """Return an independent copy."""
        return MultiValueHeaders(self)

    __copy__ = copy

    def __getitem__(self, name: str) -> str:
        if not isinstance(name, str):
            raise KeyError(name)
        pairs = self._fields.get(name.lower())
        if pairs is None:
            raise KeyError(name)
        return pairs[0][1]

    def __delitem__(self, name: str) -> None:
        if not isinstance(name, str) or self._fields.pop(name.lower(), None) is None:
            raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return (pairs[0][0] for pairs in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MultiValueHeaders):
            return NotImplemented
        return self._values() == other._values()

    def _values(self) -> dict[str, list[str]]:
        return {name: [value for _, value in pairs] for name, pairs in self._fields.items()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.items_all()!r})"


# Everything from "!" to the end of Latin-1 except the quote and DEL.
_ETAGC: Final = r"[!\x23-\x7e\x80-\xff]"
_is_opaque = re.compile(rf"{_ETAGC}*").fullmatch
_is_entity_tag = re.compile(rf'(W/)?"({_ETAGC}*)"').fullmatch
# One member of a list: quoted, or bare as some clients send it, up to a comma or the end.
# A comma may be part of a quoted tag.
_match_member = re.compile(
    rf'[ \t]*(?:(W/)?"({_ETAGC}*)"|(W/)?([!\x23-\x2b\x2d-\x7e\x80-\xff]+))[ \t]*(?:,|\Z)'
).match


class EntityTag(NamedTuple):
    """An entity tag: an opaque text without its quotes, and whether it is weak."""

    opaque: str
    weak: bool = False

    def matches_strongly(self, other: EntityTag | None) -> bool:
        """Compare as If-Match, If-Range and ranges need it (RFC 9110 section 8.8.3.2)."""
        return other is not None and self.opaque == other.opaque and not (self.weak or other.weak)

    def matches_weakly(self, other: EntityTag | None) -> bool:
        """Compare as If-None-Match needs it (RFC 9110 section 8.8.3.2)."""
        return other is not None and self.opaque == other.opaque

    def variant(self, choice: str) -> EntityTag:
        """Return the tag of the same version in another media type, language or coding."""
        return EntityTag(f"{self.opaque};{choice}", self.weak)

    def __str__(self) -> str:
        return f'W/"{self.opaque}"' if self.weak else f'"{self.opaque}"'

    @classmethod
    def parse(cls, text: str) -> EntityTag | None:
        """Read one entity tag exactly as RFC 9110 section 8.8.3 writes it."""
        found = _is_entity_tag(text)
        return cls(found[2], weak=found[1] is not None) if found else None

    @classmethod
    def of(cls, value: str) -> EntityTag:
        """Return the tag that a developer means by `abc`, `"abc"` or `W/"abc"`.

        Raises:
            InvalidHeaderError: It is empty, or has a character which no entity tag may have.
        """
        quoted = cls.parse(value)
        if quoted is not None:
            return quoted
        opaque = value.removeprefix("W/")
        if not opaque or not _is_opaque(opaque):
            raise InvalidHeaderError(
                f"{value!r:.80} is not an entity tag: give one or more Latin-1 characters "
                "without space, control characters or double quotes inside."
            )
        return cls(opaque, weak=opaque != value)


def parse_entity_tags(field: str) -> tuple[EntityTag, ...]:
    """Read the list of If-Match and If-None-Match; the form `*` lists no tag.

    Bare tags count as if they were quoted; members that are no tag are left out.
    """
    tags = []
    position = 0
    while position < len(field):
        member = _match_member(field, position)
        if member is None:
            comma = field.find(",", position)
            position = comma + 1 if comma >= 0 else len(field)
            continue
        weak, quoted, weak_bare, bare = member.groups()
        if quoted is not None:
            tags.append(EntityTag(quoted, weak=weak is not None))
        elif bare != ANY_TAG:
            tags.append(EntityTag(bare, weak=weak_bare is not None))
        position = member.end()
    return tuple(tags)


_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_MONTH_NUMBERS: Final = {name: number for number, name in enumerate(_MONTHS, start=1)}

_DAY_NAME: Final = f"(?:{'|'.join(_DAYS)})"
_LONG_DAY_NAME: Final = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_MONTH: Final = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME: Final = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_is_fixed_date = re.compile(
    rf"{_DAY_NAME}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"
).fullmatch
# RFC 850, also with the short day name or the full year that some senders use.
_is_rfc850_date = re.compile(
    rf"(?:{_LONG_DAY_NAME}|{_DAY_NAME}), "
    rf"(?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}|[0-9]{{4}}) {_TIME} GMT"
).fullmatch
_is_asctime_date = re.compile(
    rf"{_DAY_NAME} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})"
).fullmatch
_FIXED_DATE_LENGTH: Final = len("Mon, 01 Jan 2024 00:00:00 GMT")


def parse_http_date(text: str, *, now: datetime | None = None) -> datetime | None:
    """Read any of the three forms of RFC 9110 section 5.6.7; None if it is no date.

    The name of the day is not compared with the date. *now*, by default the clock, settles
    the century of a two-digit year: the latest one that is at most 50 years ahead.
    """
    text = text.strip(_WHITESPACE)
    if len(text) == _FIXED_DATE_LENGTH:
        moment = _fixed_date(text)
        if moment is not None:
            return moment
    found = _is_rfc850_date(text) or _is_asctime_date(text)
    if found is None:
        return None
    if len(found["year"]) == 2:
        return _moment(found, _full_year(found, now or datetime.now(UTC)))
    return _moment(found, int(found["year"]))


@lru_cache(maxsize=256)
def _fixed_date(text: str) -> datetime | None:
    """Read the preferred form, which clients repeat as they were given it."""
    found = _is_fixed_date(text)
    return _moment(found, int(found["year"])) if found else None


def _full_year(found: re.Match[str], now: datetime) -> int:
    """Return the latest year with these two digits that is at most 50 years after *now*."""
    year = now.year - now.year % 100 + 100 + int(found["year"])
    rest = (_MONTH_NUMBERS[found["month"]], *map(int, found.group("day", "hour", "minute")))
    while (year - 50, *rest, int(found["second"])) > now.timetuple()[:6]:
        year -= 100
    return year


def _moment(found: re.Match[str], year: int) -> datetime | None:
    """Return the moment in UTC, None if there is no such day or time."""
    day, hour, minute, second = map(int, found.group("day", "hour", "minute", "second"))
    if second > 60:
        return None
    try:
        start = datetime(year, _MONTH_NUMBERS[found["month"]], day, hour, minute, tzinfo=UTC)
        # A leap second, 60, is the start of the next minute.
        return start + timedelta(seconds=second)
    except (ValueError, OverflowError):
        return None


def format_http_date(moment: datetime) -> str:
    """Return the date in the preferred form; a naive *moment* is taken for UTC.

    Fractions of a second are dropped: HTTP knows none (RFC 9110 section 5.6.7).
    """
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    # strftime would use the names of the process's locale.
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]} "
        f"{moment.year:04} {moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"
    )


# More digits than RFC 9110 section 12.4.2 allows are read, as far as they matter.
_is_weight = re.compile(r"(?=\.?[0-9])([0-9]{0,3})(?:(\.[0-9]{0,3})[0-9]*)?").fullmatch


def parse_weight(text: str) -> float | None:
    """Read a qvalue (RFC 9110 section 12.4.2): 0 to 1, None if it is no number.

    Decimals after the third are dropped and more than 1 counts as 1.
    """
    found = _is_weight(text)
    return min(float(f"{found[1]}{found[2] or ''}"), 1.0) if found else None


def parse_quality_list(field: str) -> list[tuple[str, float]]:
    """Read the weighted list of Accept-Language, Accept-Encoding or Accept-Charset.

    Values are lower-case and stand in the order of the field. A member that cannot be
    read, or whose weight cannot, is left out: guessing a preference serves nobody.
    """
    members = []
    for member in field.split(","):
        value, *parameters = (part.strip(_WHITESPACE) for part in member.split(";"))
        weight = _weight_among(parameters)
        if weight is not None and _is_token(value):
            members.append((value.lower(), weight))
    return members


def _weight_among(parameters: Iterable[str]) -> float | None:
    """Return the weight that these parameters give, 1 if none does, None if unreadable."""
    for parameter in parameters:
        if parameter[:2] in ("q=", "Q="):
            return parse_weight(parameter[2:])
    return 1.0


_QUOTED: Final = (
    r'"[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]*'
    r'(?:\\[\t\x20-\x7e\x80-\xff][\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]*)*"'
)
_match_essence = re.compile(rf"({_TOKEN})/({_TOKEN})").match
_match_parameter = re.compile(rf"[ \t]*;[ \t]*(?:({_TOKEN})=({_TOKEN}|{_QUOTED}))?").match
_unescape = re.compile(r"\\(.)").sub
_LONGEST_CACHED: Final = 200


class MediaType(NamedTuple):
    """A media type or range; names are lower-case, values unquoted and as they came."""

    type: str
    subtype: str
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def essence(self) -> str:
        """The type without its parameters: `application/json`."""
        return f"{self.type}/{self.subtype}"

    def parameter(self, name: str) -> str | None:
        """Return the first parameter of this name."""
        wanted = name.lower()
        return next((value for key, value in self.parameters if key == wanted), None)

    @classmethod
    def parse(cls, text: str) -> MediaType | None:
        """Read a media type as RFC 9110 section 8.3.1 writes it, None if it is none."""
        # A cache must not hold long texts for whoever sends them.
        return _cached_media_type(text) if len(text) <= _LONGEST_CACHED else _media_type(text)


def _media_type(text: str) -> MediaType | None:
    text = text.strip(_WHITESPACE)
    found = _match_essence(text)
    if found is None:
        return None
    parameters = []
    position = found.end()
    while position < len(text):
        parameter = _match_parameter(text, position)
        if parameter is None:
            return None
        name, value = parameter.groups()
        if name is not None:
            if value.startswith('"'):
                value = _unescape(r"\1", value[1:-1])
            parameters.append((name.lower(), value))
        position = parameter.end()
    return MediaType(found[1].lower(), found[2].lower(), tuple(parameters))


_cached_media_type = lru_cache(maxsize=256)(_media_type)


@lru_cache(maxsize=256)
def merge_vary(existing: str | None, *names: str) -> str:
    """Return a Vary field that has the names of *existing*, then the new ones, each once.

    `*` stands for everything, so it stands alone (RFC 9110 section 12.5.5).
    """
    merged: dict[str, str] = {}
    for name in ",".join((existing or "", *names)).split(","):
        stripped = name.strip(_WHITESPACE)
        if stripped == "*":
            return "*"
        if stripped:
            merged.setdefault(stripped.lower(), stripped)
    return ", ".join(merged.values())


def merged(head: list[Pair], headers: MultiValueHeaders | Mapping[str, str] | None) -> list[Pair]:
    """Return encoded fields with *headers* in place of those of the same name; Vary is joined."""
    if not headers:
        return head
    if not isinstance(headers, MultiValueHeaders):
        headers = MultiValueHeaders(headers)
    new = headers.encoded()
    replaced = {name for name, _ in new} - {b"set-cookie"}
    if b"vary" in replaced:
        former = next((value for name, value in head if name == b"vary"), b"").decode("latin-1")
        vary = merge_vary(headers.joined("Vary"), *(former.split(",") if former else ()))
        new = [pair for pair in new if pair[0] != b"vary"]
        new.append((b"vary", vary.encode("latin-1")))
    return [pair for pair in head if pair[0] not in replaced] + new


def underlaid(head: Sequence[Pair], fields: Iterable[Pair]) -> list[Pair]:
    """Return encoded fields behind those of others that they lack; Vary is joined."""
    present = {name for name, _ in head}
    added = []
    for name, value in fields:
        if name not in present:
            added.append((name, value))
        elif name == b"vary":
            names = value.decode("latin-1")
            head = [
                (each, merge_vary(former.decode("latin-1"), names).encode("latin-1"))
                if each == name
                else (each, former)
                for each, former in head
            ]
    return [*added, *head]
