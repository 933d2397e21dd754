"""Range requests in bytes: which part of the content to send (RFC 9110 section 14).

Pure functions: they are told the size of the content and never see the content itself.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from restmachine.headers import EntityTag, parse_http_date

MOST_RANGES: Final = 16
"""A request for more is answered whole: it costs more to take apart than to send."""


class ByteRange(NamedTuple):
    """Positions of the first and the last byte, both included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """The number of bytes."""
        return self.end - self.start + 1


def parse_range(field: str, size: int) -> list[ByteRange] | None:
    """Return the parts of *size* bytes of content which Range asks for.

    None means that the field is to be ignored and the whole content sent: the unit is not
    bytes, the syntax is wrong, or more than `MOST_RANGES` are asked for. An empty list
    means that no range can be satisfied: 416. Otherwise the satisfiable ones, cut to the
    size, in the order asked for. Those which overlap become one, so that the answer never
    has more bytes than the content (RFC 9110 sections 14.2 and 15.3.7.2).
    """
    specs = _range_specs(field)
    if specs is None:
        return None
    if size == 0 and any(spec.start is None and spec.end for spec in specs):
        # The last bytes of nothing are all of it, which no Content-Range can say.
        return None
    parts = (spec.within(size) for spec in specs)
    return _without_overlap([part for part in parts if part is not None])


class _RangeSpec(NamedTuple):
    """One range as asked for: without a start, *end* counts bytes from the end."""

    start: int | None
    end: int | None

    def within(self, size: int) -> ByteRange | None:
        """Return what there is of this range, None if that is nothing."""
        last = size - 1
        if self.start is None:
            wanted = self.end or 0
            return ByteRange(max(size - wanted, 0), last) if wanted else None
        if self.start > last:
            return None
        return ByteRange(self.start, last if self.end is None else min(self.end, last))


_is_range_spec = re.compile(r"([0-9]*)-([0-9]*)").fullmatch
# More than any content has; the digits of a longer number need not be read.
_ENDLESS: Final = 10**18


def _range_specs(field: str) -> list[_RangeSpec] | None:
    """Read the field, None if it is not a valid set of at most `MOST_RANGES` byte ranges."""
    unit, _, listed = field.strip(" \t").partition("=")
    if unit.lower() != "bytes":
        return None
    members = [text for member in listed.split(",") if (text := member.strip(" \t"))]
    if not 0 < len(members) <= MOST_RANGES:
        return None
    specs = []
    for member in members:
        found = _is_range_spec(member)
        if found is None:
            return None
        start, end = map(_position, found.groups())
        if start is None and end is None:
            return None
        if start is not None and end is not None and start > end:
            return None
        specs.append(_RangeSpec(start, end))
    return specs


def _position(digits: str) -> int | None:
    """Return the number these digits write, None if there are none."""
    if not digits:
        return None
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= 18 else _ENDLESS


def _without_overlap(parts: list[ByteRange]) -> list[ByteRange]:
    """Merge parts that overlap, each into the place of the one asked for first."""
    merged: list[tuple[int, ByteRange]] = []
    for place, part in sorted(enumerate(parts), key=lambda item: item[1]):
        if merged and part.start <= merged[-1][1].end:
            earlier, (start, end) = merged[-1]
            merged[-1] = (min(earlier, place), ByteRange(start, max(end, part.end)))
        else:
            merged.append((place, part))
    return [part for _, part in sorted(merged)]


def content_range(part: ByteRange, size: int) -> str:
    """Return Content-Range of a 206 for *part* (RFC 9110 section 14.4)."""
    return f"bytes {part.start}-{part.end}/{size}"


def unsatisfied_range(size: int) -> str:
    """Return Content-Range of a 416 (RFC 9110 section 15.5.17)."""
    return f"bytes */{size}"


def if_range_matches(
    field: str,
    etag: EntityTag | None,
    last_modified: datetime | None,
    *,
    now: datetime | None = None,
) -> bool:
    """Answer whether If-Range holds, so that Range applies (RFC 9110 section 13.1.5).

    Tags compare strongly. Dates must be equal to the second, and that second must be over
    at *now*, by default the clock: until then the content may change without its date
    (8.8.2.2). Whatever is neither a tag nor a date does not hold.
    """
    tag = EntityTag.parse(field.strip(" \t"))
    if tag is not None:
        return tag.matches_strongly(etag)
    date = parse_http_date(field)
    if date is None or last_modified is None:
        return False
    if last_modified.tzinfo is None:
        last_modified = last_modified.replace(tzinfo=UTC)
    is_strong = date <= (now or datetime.now(UTC)) - timedelta(seconds=1)
    return is_strong and date == last_modified.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class MultipartByteRanges:
    """The content of a 206 with several parts (RFC 9110 sections 14.6 and 15.3.7.2).

    Iterating gives what to send in order: bytes as they are, and for each `ByteRange` those
    bytes of the representation. `content_length` is known before any of it is read.
    """

    parts: tuple[ByteRange, ...]
    size: int
    part_type: str | None
    boundary: str

    @property
    def content_type(self) -> str:
        """The Content-Type of the response; that of the parts is inside."""
        return f"multipart/byteranges; boundary={self.boundary}"

    @property
    def content_length(self) -> int:
        """The number of bytes which are sent altogether."""
        return sum(len(piece) if isinstance(piece, bytes) else piece.length for piece in iter(self))

    def __iter__(self) -> Iterator[bytes | ByteRange]:
        type_line = f"Content-Type: {self.part_type}\r\n" if self.part_type else ""
        line_break = ""
        for part in self.parts:
            yield (
                f"{line_break}--{self.boundary}\r\n{type_line}"
                f"Content-Range: {content_range(part, self.size)}\r\n\r\n"
            ).encode("latin-1")
            yield part
            line_break = "\r\n"
        yield f"\r\n--{self.boundary}--\r\n".encode("latin-1")


def multipart_byteranges(
    parts: Sequence[ByteRange], size: int, part_type: str | None = None
) -> MultipartByteRanges:
    """Return the content that holds two or more *parts* of *size* bytes.

    A single part is no multipart: RFC 9110 section 15.3.7.2 forbids that answer to a
    request for one range. *part_type* is the Content-Type which the whole would have.

    Raises:
        ValueError: There are fewer than two parts.
    """
    if len(parts) < 2:
        raise ValueError("multipart/byteranges needs two parts or more; send one as it is.")
    # Random, and so long that the content cannot be made to contain it.
    return MultipartByteRanges(tuple(parts), size, part_type, secrets.token_hex(16))
