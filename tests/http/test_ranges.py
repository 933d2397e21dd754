"""Range requests: 206, 416 and If-Range (RFC 9110 sections 13.1.5, 14, 15.3.7, 15.5.17)."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from restmachine import Response, RestApplication
from restmachine.testing import ClientResponse, TestClient

CONTENT = b"0123456789" * 10
LONG_AGO = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
LONG_AGO_FIELD = "Wed, 01 May 2024 12:00:00 GMT"


def rangeable(app: RestApplication, folder: Path) -> None:
    """Declare one route for each kind of content that has ranges."""
    (folder / "hundred.bin").write_bytes(CONTENT)

    @app.get("/bytes")
    def as_bytes():
        return CONTENT

    @app.get("/bytearray")
    async def as_bytearray():
        return bytearray(CONTENT)

    @app.get("/text")
    def as_text():
        return Response(200, CONTENT.decode(), content_type="text/plain")

    @app.get("/path")
    def as_path():
        return folder / "hundred.bin"

    @app.get("/path-on-loop")
    async def as_path_on_loop():
        return folder / "hundred.bin"

    @app.get("/file")
    def as_file():
        return (folder / "hundred.bin").open("rb")

    @app.get("/buffer")
    async def as_buffer():
        return io.BytesIO(CONTENT)

    @app.get("/read-from-half")
    async def as_half_read_buffer():
        buffer = io.BytesIO(CONTENT * 2)
        buffer.seek(len(CONTENT))
        return buffer


def others(app: RestApplication) -> None:
    """Declare routes whose answers have no ranges, or validators of their own."""

    @app.get("/data")
    def data():
        return {"message": "a dict"}

    @app.get("/iterator")
    def iterator():
        yield CONTENT

    @app.get("/created")
    def created():
        return CONTENT, 201

    @app.post("/bytes")
    def posted():
        return CONTENT

    @app.get("/refused")
    def refused():
        return CONTENT, 200, {"Accept-Ranges": "none"}

    @app.get("/empty")
    def empty():
        return b""

    @app.get("/umlauts")
    def umlauts():
        return Response(200, "äöü", content_type="text/plain; charset=utf-8")

    @app.get("/tagged")
    def tagged():
        return Response(200, CONTENT, etag='"v1"', last_modified=LONG_AGO)

    @app.get("/weakly-tagged")
    def weakly_tagged():
        return Response(200, CONTENT, etag='W/"v1"')

    @app.resource_exists
    def article(request):
        return "article"

    @app.generate_etag
    def article_tag(article):
        return "a1"

    @app.get("/article")
    def read_article(article):
        return CONTENT

    @app.get("/cached")
    def cached():
        return CONTENT, 200, {"Cache-Control": "max-age=60", "Content-Location": "/here"}


@pytest.fixture
def client(tmp_path: Path, serve: Callable[[RestApplication], TestClient]) -> TestClient:
    app = RestApplication()
    rangeable(app, tmp_path)
    others(app)
    return serve(app)


def ranged(client: TestClient, path: str, field: str, **more: str) -> ClientResponse:
    return client.get(path, headers={"Range": field, **more})


def parts_of(response: ClientResponse) -> list[Message]:
    head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
    message = message_from_bytes(head + response.content)
    return list(message.walk())[1:]


KINDS = pytest.mark.parametrize(
    "path",
    [
        *("/bytes", "/bytearray", "/text"),
        *("/path", "/path-on-loop", "/file", "/buffer", "/read-from-half"),
    ],
)


@KINDS
class TestEveryKindOfContent:
    @pytest.mark.parametrize(
        ("field", "start", "end"),
        [
            pytest.param("bytes=0-9", 0, 9, id="14.1.2 first ten"),
            pytest.param("bytes=95-", 95, 99, id="14.1.2 open end"),
            pytest.param("bytes=-3", 97, 99, id="14.1.2 suffix"),
            pytest.param("bytes=90-1000", 90, 99, id="14.1.2 end is cut"),
            pytest.param("bytes=-1000", 0, 99, id="14.1.2 long suffix is everything"),
            pytest.param("bytes=500-600,5-6", 5, 6, id="14.1.1 one is satisfiable"),
            pytest.param("bytes=0-5,3-8", 0, 8, id="15.3.7.2 overlapping are one"),
        ],
    )
    def test_one_range_is_206_with_that_part(
        self, client: TestClient, path: str, field: str, start: int, end: int
    ) -> None:
        response = ranged(client, path, field)

        assert response.status == 206
        assert response.content == CONTENT[start : end + 1]
        assert response.headers["Content-Range"] == f"bytes {start}-{end}/100"
        assert response.headers["Content-Length"] == str(end - start + 1)

    def test_several_ranges_are_one_multipart_in_the_order_asked(
        self, client: TestClient, path: str
    ) -> None:
        whole = client.get(path)

        response = ranged(client, path, "bytes=-2, 10-14")

        parts = parts_of(response)
        assert response.status == 206
        assert "Content-Range" not in response.headers
        assert response.headers["Content-Length"] == str(len(response.content))
        assert [part["Content-Range"] for part in parts] == ["bytes 98-99/100", "bytes 10-14/100"]
        assert [part["Content-Type"] for part in parts] == [whole.headers["Content-Type"]] * 2
        assert [part.get_payload(decode=True) for part in parts] == [b"89", b"01234"]

    def test_no_satisfiable_range_is_416_with_the_size(self, client: TestClient, path: str) -> None:
        response = ranged(client, path, "bytes=100-")

        assert response.status == 416
        assert response.headers["Content-Range"] == "bytes */100"
        assert response.json()["error"] == "Range Not Satisfiable"

    @pytest.mark.parametrize(
        "field",
        [
            pytest.param("lines=1-2", id="14.2 unknown unit"),
            pytest.param("bytes=5-2", id="14.1.1 end before start"),
            pytest.param("bytes=a-b", id="14.1.1 no numbers"),
            pytest.param("bytes=", id="14.1.1 empty set"),
            pytest.param("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 99, 2)), id="too many"),
        ],
    )
    def test_a_field_that_is_not_understood_is_ignored(
        self, client: TestClient, path: str, field: str
    ) -> None:
        response = ranged(client, path, field)

        assert (response.status, response.content) == (200, CONTENT)
        assert "Content-Range" not in response.headers

    def test_the_whole_says_that_ranges_may_be_asked_for(
        self, client: TestClient, path: str
    ) -> None:
        response = client.get(path)

        assert (response.status, response.content) == (200, CONTENT)
        assert response.headers.get_all("Accept-Ranges") == ["bytes"]
        assert response.headers["Content-Length"] == "100"

    def test_head_ignores_range_and_states_what_get_would(
        self, client: TestClient, path: str
    ) -> None:
        get = client.get(path)

        head = client.head(path, headers={"Range": "bytes=0-9"})

        assert (head.status, head.content) == (200, b"")
        assert head.headers == get.headers


class TestWhatHasNoRanges:
    @pytest.mark.parametrize(
        "path", [pytest.param("/data", id="data"), pytest.param("/created", id="not 200")]
    )
    def test_range_is_ignored_and_nothing_is_said_of_ranges(
        self, client: TestClient, path: str
    ) -> None:
        plain = client.get(path)

        response = ranged(client, path, "bytes=0-3")

        assert (response.status, response.content) == (plain.status, plain.content)
        assert "Accept-Ranges" not in response.headers

    def test_a_post_has_no_ranges(self, client: TestClient) -> None:
        response = client.post("/bytes", headers={"Range": "bytes=0-3"})

        assert (response.status, response.content) == (200, CONTENT)
        assert "Accept-Ranges" not in response.headers

    def test_an_iterator_says_that_it_has_none(self, client: TestClient) -> None:
        response = ranged(client, "/iterator", "bytes=0-3")

        assert (response.status, response.content) == (200, CONTENT)
        assert response.headers["Accept-Ranges"] == "none"

    def test_a_handler_can_refuse_ranges(self, client: TestClient) -> None:
        response = ranged(client, "/refused", "bytes=0-3")

        assert (response.status, response.content) == (200, CONTENT)
        assert response.headers["Accept-Ranges"] == "none"

    def test_of_empty_content_no_first_byte_can_be_sent(self, client: TestClient) -> None:
        response = ranged(client, "/empty", "bytes=0-")

        assert response.status == 416
        assert response.headers["Content-Range"] == "bytes */0"

    def test_the_last_bytes_of_empty_content_are_all_of_it(self, client: TestClient) -> None:
        response = ranged(client, "/empty", "bytes=-5")

        assert (response.status, response.content) == (200, b"")


def test_text_is_counted_in_bytes_of_utf8(client: TestClient) -> None:
    response = ranged(client, "/umlauts", "bytes=2-3")

    assert response.content == "ö".encode()
    assert response.headers["Content-Range"] == "bytes 2-3/6"


def test_206_keeps_the_fields_of_the_whole(client: TestClient) -> None:
    response = ranged(client, "/cached", "bytes=0-3")

    assert response.status == 206
    assert response.headers["Cache-Control"] == "max-age=60"
    assert response.headers["Content-Location"] == "/here"


class TestIfRange:
    @pytest.mark.parametrize(
        ("path", "condition", "status"),
        [
            pytest.param("/tagged", '"v1"', 206, id="same tag"),
            pytest.param("/tagged", '"v2"', 200, id="other tag"),
            pytest.param("/tagged", 'W/"v1"', 200, id="weak condition"),
            pytest.param("/weakly-tagged", 'W/"v1"', 200, id="weak tag"),
            pytest.param("/tagged", LONG_AGO_FIELD, 206, id="same date"),
            pytest.param("/tagged", "Wed, 01 May 2024 12:00:01 GMT", 200, id="later date"),
            pytest.param("/tagged", "nonsense", 200, id="neither tag nor date"),
            pytest.param("/bytes", '"v1"', 200, id="nothing to compare with"),
            pytest.param("/article", '"a1"', 206, id="tag of the route"),
            pytest.param("/article", '"a0"', 200, id="other than the tag of the route"),
        ],
    )
    def test_range_applies_only_to_the_very_same_representation(
        self, client: TestClient, path: str, condition: str, status: int
    ) -> None:
        response = ranged(client, path, "bytes=0-3", **{"If-Range": condition})

        assert response.status == status
        assert len(response.content) == {200: 100, 206: 4}[status]

    def test_the_tag_of_a_file_is_strong_enough(self, client: TestClient) -> None:
        tag = client.get("/path").headers["ETag"]

        response = ranged(client, "/path", "bytes=0-3", **{"If-Range": tag})

        assert (response.status, response.content) == (206, b"0123")
        assert response.headers["ETag"] == tag

    def test_a_condition_that_fails_is_no_416(self, client: TestClient) -> None:
        response = ranged(client, "/tagged", "bytes=500-", **{"If-Range": '"v2"'})

        assert (response.status, response.content) == (200, CONTENT)

    def test_if_none_match_comes_before_range(self, client: TestClient) -> None:
        tag = client.get("/path").headers["ETag"]

        response = ranged(client, "/path", "bytes=0-3", **{"If-None-Match": tag})

        assert (response.status, response.content) == (304, b"")
