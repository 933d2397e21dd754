"""Files as answers: type, length, validators and conditions (RFC 9110 sections 8, 13; RFC 6266)."""

from __future__ import annotations

import os
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import pytest

from restmachine import FileResponse, Response, RestApplication
from restmachine.testing import TestClient

Serve = Callable[[RestApplication], TestClient]

TEXT = b"<h1>Hello</h1>"
LONG = TEXT * 20_000  # so long that it is sent in several pieces
MODIFIED = 1_714_564_800  # Wed, 01 May 2024 12:00:00 GMT
BEFORE = "Wed, 01 May 2024 11:59:59 GMT"
SAME = "Wed, 01 May 2024 12:00:00 GMT"
AFTER = "Wed, 01 May 2024 12:00:01 GMT"
FAR_AHEAD = "Fri, 01 May 2099 12:00:00 GMT"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Give a file of HTML that was modified long ago."""
    page = tmp_path / "page.html"
    page.write_bytes(TEXT)
    os.utime(page, (MODIFIED, MODIFIED))
    return page


@pytest.fixture
def app(page: Path) -> RestApplication:
    app = RestApplication()

    @app.get("/sync")
    def sync_path():
        return page

    @app.get("/async")
    async def async_path():
        return page

    @app.get("/annotated")
    async def annotated() -> Path:
        return page

    @app.get("/response")
    def in_a_response():
        return Response(200, page)

    @app.get("/file-response")
    def file_response():
        return FileResponse(page)

    @app.get("/missing")
    async def missing():
        return page.with_name("missing.html")

    @app.get("/missing-annotated")
    async def missing_annotated() -> Path:
        return page.with_name("missing.html")

    @app.get("/folder")
    def folder():
        return page.parent

    @app.get("/pipe")
    def pipe():
        os.mkfifo(page.with_name("pipe"))
        return page.with_name("pipe")

    @app.get("/zero-byte")
    def zero_byte():
        return Path("a\0b")

    @app.get("/long-name")
    def long_name():
        return Path("a" * 5000)

    @app.get("/below-a-file")
    def below_a_file():
        return page / "deeper"

    @app.get("/loop")
    def loop():
        link = page.with_name("loop")
        link.symlink_to(link)
        return link

    @app.get("/not-found-page")
    def not_found_page():
        return page, 404

    @app.post("/posted")
    def posted():
        return page

    @app.get("/own-fields")
    def own_fields():
        return FileResponse(
            page, headers={"ETag": '"mine"', "Content-Length": "7", "Cache-Control": "no-cache"}
        )

    return app


@pytest.fixture
def client(app: RestApplication, serve: Serve) -> TestClient:
    return serve(app)


WAYS = pytest.mark.parametrize(
    "path", ["/sync", "/async", "/annotated", "/response", "/file-response"]
)


@WAYS
class TestEveryWayToReturnAFile:
    def test_a_file_is_sent_with_all_that_is_known_of_it(
        self, client: TestClient, path: str
    ) -> None:
        response = client.get(path)

        assert (response.status, response.content) == (200, TEXT)
        assert response.headers["Content-Type"] == "text/html"
        assert response.headers["Content-Length"] == str(len(TEXT))
        assert response.headers["Last-Modified"] == SAME
        assert response.headers["ETag"].startswith('"')

    def test_a_long_file_is_sent_whole(self, client: TestClient, page: Path, path: str) -> None:
        page.write_bytes(LONG)

        response = client.get(path)

        assert response.content == LONG
        assert response.headers["Content-Length"] == str(len(LONG))

    def test_head_states_the_same_and_sends_nothing(self, client: TestClient, path: str) -> None:
        get = client.get(path)

        head = client.head(path)

        assert (head.status, head.content) == (200, b"")
        assert head.headers == get.headers

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            pytest.param({"If-None-Match": "{tag}"}, 304, id="13.1.2 same tag"),
            pytest.param({"If-None-Match": 'W/{tag}, "x"'}, 304, id="13.1.2 weak comparison"),
            pytest.param({"If-None-Match": '"x"'}, 200, id="13.1.2 other tag"),
            pytest.param({"If-None-Match": "*"}, 304, id="13.1.2 any"),
            pytest.param({"If-Modified-Since": SAME}, 304, id="13.1.3 same date"),
            pytest.param({"If-Modified-Since": AFTER}, 304, id="13.1.3 later date"),
            pytest.param({"If-Modified-Since": BEFORE}, 200, id="13.1.3 earlier date"),
            pytest.param({"If-Modified-Since": "yesterday"}, 200, id="13.1.3 no date"),
            pytest.param({"If-Modified-Since": FAR_AHEAD}, 200, id="13.1.3 date ahead"),
            pytest.param(
                {"If-None-Match": '"x"', "If-Modified-Since": SAME}, 200, id="13.1.3 tag decides"
            ),
            pytest.param({"If-Unmodified-Since": SAME}, 200, id="13.1.4 same date"),
            pytest.param({"If-Unmodified-Since": BEFORE}, 412, id="13.1.4 earlier date"),
            pytest.param({"If-Match": "*"}, 200, id="13.1.1 any"),
            pytest.param({"If-Match": '"x", {tag}'}, 200, id="13.1.1 G11 listed"),
            pytest.param({"If-Match": '"x"'}, 412, id="13.1.1 G11 not listed"),
            pytest.param({"If-Match": "W/{tag}"}, 412, id="13.1.1 G11 never weakly"),
            pytest.param(
                {"If-Unmodified-Since": BEFORE, "If-None-Match": "{tag}"},
                412,
                id="13.2.2 what forbids comes first",
            ),
        ],
    )
    def test_conditions_hold_the_validators_of_the_file(
        self, client: TestClient, path: str, fields: dict[str, str], status: int
    ) -> None:
        tag = client.get(path).headers["ETag"]
        fields = {name: value.replace("{tag}", tag) for name, value in fields.items()}

        assert client.get(path, headers=fields).status == status
        assert client.head(path, headers=fields).status == status


def test_304_states_the_validators_and_nothing_of_the_content(client: TestClient) -> None:
    whole = client.get("/sync")

    response = client.get("/sync", headers={"If-None-Match": whole.headers["ETag"]})

    assert (response.status, response.content) == (304, b"")
    assert response.headers["ETag"] == whole.headers["ETag"]
    assert response.headers["Last-Modified"] == SAME
    assert "Content-Type" not in response.headers
    assert "Content-Length" not in response.headers


def test_c4_a_handler_that_says_it_returns_a_path_sends_the_type_of_the_file_whatever_is_asked(
    client: TestClient,
) -> None:
    response = client.get("/annotated", headers={"Accept": "image/png"})

    assert (response.status, response.headers["Content-Type"]) == (200, "text/html")
    assert "Vary" not in response.headers


def test_a_changed_file_has_another_tag(client: TestClient, page: Path) -> None:
    before = client.get("/sync").headers["ETag"]
    page.write_bytes(TEXT[::-1])
    os.utime(page, ns=(MODIFIED * 10**9, MODIFIED * 10**9 + 1))

    after = client.get("/sync")

    assert after.headers["ETag"] != before
    assert after.content == TEXT[::-1]


@pytest.mark.parametrize(
    "path",
    [
        "/missing",
        "/missing-annotated",
        "/folder",
        "/pipe",
        "/zero-byte",
        "/long-name",
        "/below-a-file",
        "/loop",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_no_file_is_404(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, path)

    assert response.status == 404
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["/missing", "/missing-annotated"])
@pytest.mark.parametrize("name", ["If-None-Match", "If-Match"])
@pytest.mark.parametrize("value", ["*", '"x"'])
def test_i13_g11_no_condition_is_judged_of_what_is_no_file(
    client: TestClient, path: str, name: str, value: str
) -> None:
    response = client.get(path, headers={name: value})

    assert response.status == 404


def test_a_file_may_be_the_content_of_any_status_and_is_then_unconditional(
    client: TestClient,
) -> None:
    response = client.get(
        "/not-found-page", headers={"Range": "bytes=0-1", "If-Modified-Since": SAME}
    )

    assert (response.status, response.content) == (404, TEXT)
    assert "ETag" not in response.headers
    assert "Accept-Ranges" not in response.headers


def test_a_post_answered_with_a_file_states_no_validators(client: TestClient) -> None:
    response = client.post("/posted", headers={"If-Modified-Since": SAME})

    assert (response.status, response.content) == (200, TEXT)
    assert "ETag" not in response.headers


def test_fields_of_the_handler_win_except_for_the_length(client: TestClient) -> None:
    response = client.get("/own-fields")

    assert response.headers.get_all("ETag") == ['"mine"']
    assert response.headers.get_all("Content-Length") == [str(len(TEXT))]
    assert response.headers["Cache-Control"] == "no-cache"


def test_the_handlers_own_tag_is_the_one_that_is_compared(client: TestClient) -> None:
    response = client.get("/own-fields", headers={"If-None-Match": '"mine"'})

    assert response.status == 304
    assert response.headers["Cache-Control"] == "no-cache"


def test_directly_executed_a_file_is_read_whole(app: RestApplication) -> None:
    from restmachine import Request

    response = app.execute(Request("GET", "/sync", {"Range": "bytes=0-3"}))

    assert (response.status_code, response.body) == (206, TEXT[:4])


@pytest.mark.parametrize("content", [TEXT, LONG], ids=["short", "long"])
class TestDependenciesOfAFile:
    @pytest.mark.parametrize("path", ["/sync", "/async"])
    def test_they_are_finished_before_the_first_byte_once_the_file_is_open(
        self, page: Path, serve: Serve, content: bytes, path: str
    ) -> None:
        page.write_bytes(content)
        app = RestApplication()

        @app.dependency()
        def temporary():
            yield page
            page.unlink()
            return {"X-Torn-Down": "yes"}

        @app.get("/sync")
        def read(temporary):
            return temporary

        @app.get("/async")
        async def read_async(temporary):
            return temporary

        response = serve(app).get(path)

        assert response.content == content
        assert response.headers["X-Torn-Down"] == "yes"
        assert not page.exists()

    @pytest.mark.parametrize("path", ["/sync", "/async"])
    def test_one_that_fails_is_a_500_and_the_file_is_closed(
        self, page: Path, serve: Serve, content: bytes, path: str
    ) -> None:
        page.write_bytes(content)
        app = RestApplication()

        @app.dependency()
        def session():
            yield
            raise LookupError("the commit failed")

        @app.get("/sync")
        def read(session):
            return page

        @app.get("/async")
        async def read_async(session):
            return page

        response = serve(app).get(path)

        # That the file is open no more is seen by Python itself: a warning is an error here.
        assert response.status == 500


class TestErrorHandlers:
    @pytest.fixture
    def client(self, app: RestApplication, page: Path, serve: Serve) -> TestClient:
        @app.handles_error(404, 416)
        def explain(status_code):
            return {"handled": status_code}

        @app.handles_error(500)
        async def page_of_errors():
            return page

        @app.get("/broken")
        async def broken():
            raise LookupError

        @app.get("/broken-stream")
        async def broken_stream():
            raise LookupError
            yield b"piece"

        return serve(app)

    @pytest.mark.parametrize(
        ("path", "field", "status"), [("/missing", "", 404), ("/sync", "bytes=999-", 416)]
    )
    def test_they_are_asked_about_files_too(
        self, client: TestClient, path: str, field: str, status: int
    ) -> None:
        response = client.get(path, headers={"Range": field})

        assert response.status == status
        assert response.json() == {"handled": status}

    def test_the_size_remains_in_a_416(self, client: TestClient) -> None:
        response = client.get("/async", headers={"Range": "bytes=999-"})

        assert response.headers["Content-Range"] == f"bytes */{len(TEXT)}"

    def test_they_may_answer_with_a_file(self, client: TestClient) -> None:
        response = client.get("/broken")

        assert (response.status, response.content) == (500, TEXT)
        assert response.headers["Content-Type"] == "text/html"
        assert response.headers["Content-Length"] == str(len(TEXT))
        assert "ETag" not in response.headers

    def test_a_stream_that_fails_at_once_may_be_answered_with_a_file_too(
        self, client: TestClient
    ) -> None:
        response = client.get("/broken-stream")

        assert (response.status, response.content) == (500, TEXT)

    def test_but_not_with_a_stream_that_may_fail_as_well(
        self, client: TestClient, page: Path
    ) -> None:
        page.write_bytes(LONG)

        response = client.get("/broken-stream")

        assert (response.status, response.json()) == (500, {"error": "Internal Server Error"})


def test_over_a_socket_a_file_is_sent_whole_in_part_and_not_at_all(
    page: Path, app: RestApplication, listen: Callable[[RestApplication], tuple[str, int]]
) -> None:
    page.write_bytes(os.urandom(1_000_000))
    content = page.read_bytes()
    connection = HTTPConnection(*listen(app), timeout=10)

    def get(**fields: str) -> tuple[int, bytes, str | None]:
        connection.request("GET", "/async", headers=fields)
        response = connection.getresponse()
        return response.status, response.read(), response.headers["ETag"]

    status, whole, tag = get()
    assert (status, whole) == (200, content)
    assert get(Range="bytes=500000-")[:2] == (206, content[500_000:])
    assert get(**{"If-None-Match": str(tag)}) == (304, b"", tag)
    assert get(Range="bytes=1000000-")[0] == 416
    connection.close()
