"""Files as content: names, types and what is sent of an open file."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from restmachine.errors import InvalidResponseError
from restmachine.files import Excerpt, FileResponse, content_disposition
from restmachine.ranges import ByteRange
from restmachine.representations import file_type
from restmachine.streaming import PIECE_BYTES


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.html", "text/html"),
        ("a.JSON", "application/json"),
        ("a.js", "text/javascript"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.tar.gz", "application/gzip"),
        ("a.csv.gz", "application/gzip"),
        ("a.tar.bz2", "application/x-bzip2"),
        ("a.txt.Z", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
        ("README", "application/octet-stream"),
    ],
)
def test_the_type_of_a_file_is_that_of_its_bytes_as_they_are(name: str, media_type: str) -> None:
    assert file_type(name) == media_type


class TestContentDisposition:
    @pytest.mark.parametrize(
        ("filename", "field"),
        [
            pytest.param("a.txt", 'attachment; filename="a.txt"', id="plain"),
            pytest.param("a b.txt", 'attachment; filename="a b.txt"', id="space"),
            pytest.param('a"b.txt', r'attachment; filename="a\"b.txt"', id="quote"),
            pytest.param("a\\b.txt", r'attachment; filename="a\\b.txt"', id="backslash"),
            pytest.param(
                "a\r\nX-Y: z.txt", 'attachment; filename="a__X-Y: z.txt"', id="line break"
            ),
            pytest.param(
                "naïve €.txt",
                "attachment; filename=\"na_ve _.txt\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt",
                id="RFC 6266 4.3 beyond ASCII",
            ),
            pytest.param(
                "ü'(1)*%.txt",
                "attachment; filename=\"_'(1)*%.txt\"; filename*=UTF-8''%C3%BC%27%281%29%2A%25.txt",
                id="RFC 8187 3.2.1 what must be encoded",
            ),
        ],
    )
    def test_every_name_is_one_well_formed_field(self, filename: str, field: str) -> None:
        assert content_disposition("attachment", filename) == field

    @pytest.mark.parametrize(
        ("arguments", "field"),
        [
            pytest.param({}, None, id="neither"),
            pytest.param({"filename": "b.txt"}, 'inline; filename="b.txt"', id="name"),
            pytest.param({"as_attachment": True}, 'attachment; filename="a.txt"', id="attachment"),
            pytest.param(
                {"as_attachment": True, "filename": "b.txt"},
                'attachment; filename="b.txt"',
                id="both",
            ),
        ],
    )
    def test_a_file_response_says_how_to_save_it_if_it_is_told(
        self, arguments: dict[str, object], field: str | None
    ) -> None:
        response = FileResponse("folder/a.txt", **arguments)  # type: ignore[arg-type]

        assert response.headers.get("Content-Disposition") == field


class TestFileResponse:
    def test_it_is_a_response_with_a_path(self) -> None:
        response = FileResponse("folder/a.txt", 203, {"X-One": "1"})

        assert response.status_code == 203
        assert response.body == Path("folder/a.txt")
        assert response.content_type == "text/plain"
        assert response.headers["X-One"] == "1"

    def test_the_given_type_wins_over_the_guessed_one(self) -> None:
        assert FileResponse("a.txt", content_type="text/csv").content_type == "text/csv"
        assert FileResponse("a.txt", headers={"content-type": "a/b"}).content_type == "a/b"


class TestExcerpt:
    def test_it_gives_parts_and_bytes_in_order(self) -> None:
        excerpt = Excerpt(io.BytesIO(b"0123456789"), [ByteRange(7, 8), b"-", ByteRange(0, 2)])

        assert b"".join(excerpt) == b"78-012"

    def test_positions_count_from_where_the_file_stood(self) -> None:
        file = io.BytesIO(b"0123456789")
        file.seek(5)

        assert b"".join(Excerpt(file, [ByteRange(0, 1)])) == b"56"

    def test_no_piece_is_longer_than_what_is_held(self) -> None:
        size = 2 * PIECE_BYTES + 1

        pieces = list(Excerpt(io.BytesIO(bytes(size)), [ByteRange(0, size - 1)]))

        assert [len(piece) for piece in pieces] == [PIECE_BYTES, PIECE_BYTES, 1]

    def test_an_empty_file_has_no_pieces(self) -> None:
        assert list(Excerpt(io.BytesIO(), [ByteRange(0, -1)])) == []

    def test_what_a_file_grew_by_is_not_sent(self) -> None:
        file = io.BytesIO(b"0123456789")
        excerpt = Excerpt(file, [ByteRange(0, 3)])
        file.getbuffer()[:] = b"abcdefghij"

        assert b"".join(excerpt) == b"abcd"

    def test_a_file_that_became_shorter_is_an_error(self) -> None:
        file = io.BytesIO(b"0123456789")
        excerpt = Excerpt(file, [ByteRange(0, 9)])
        file.truncate(4)

        assert next(excerpt) == b"0123"
        with pytest.raises(InvalidResponseError, match="6 bytes shorter"):
            next(excerpt)

    def test_closing_it_closes_the_file(self) -> None:
        file = io.BytesIO(b"0123456789")

        Excerpt(file, [ByteRange(0, 9)]).close()

        assert file.closed
