"""Forms with files (RFC 7578): what they become, where they are kept, and when they are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from restmachine import ConfigurationError, Request, RestApplication
from restmachine import multipart as room
from restmachine.multipart import UploadedFile
from restmachine.testing import TestClient

MEDIA_TYPE = "multipart/form-data; boundary=xyz"
HEADERS = {"Content-Type": MEDIA_TYPE}


def part(name: str, content: bytes, *fields: str, filename: str | None = None) -> bytes:
    """Return one part of a form."""
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    head = "\r\n".join(("--xyz", disposition, *fields)).encode()
    return head + b"\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    """Return a whole form."""
    return b"".join(parts) + b"--xyz--\r\n"


def told(value: Any) -> Any:
    """Return what a form holds as data."""
    if isinstance(value, UploadedFile):
        content = value.read()
        return [value.filename, value.content_type, value.size, content.decode("latin-1")]
    if isinstance(value, list):
        return [told(item) for item in value]
    return value


@pytest.fixture
def kept() -> list[UploadedFile]:
    """Keep the files that handlers saw."""
    return []


@pytest.fixture
def client(kept: list[UploadedFile]) -> Iterator[TestClient]:
    app = RestApplication(max_form_fields=5, max_content=8 * 1024 * 1024)

    def keep(fields: dict[str, Any]) -> None:
        for value in fields.values():
            kept.extend(
                item
                for item in (value if isinstance(value, list) else [value])
                if isinstance(item, UploadedFile)
            )

    @app.post("/")
    async def echo(multipart_body: Any) -> Any:
        keep(multipart_body or {})
        return {name: told(value) for name, value in (multipart_body or {}).items()}

    @app.post("/sync")
    def sync_echo(multipart_body: Any) -> Any:
        return {name: told(value) for name, value in (multipart_body or {}).items()}

    @app.post("/both")
    async def both(request: Request, multipart_body: Any, parsed_body: Any) -> Any:
        return {"bytes": len(request.body or b""), "same": multipart_body is parsed_body}

    @app.post("/sizes")
    async def sizes(multipart_body: Any) -> Any:
        keep(multipart_body)
        return {name: value.size for name, value in multipart_body.items()}

    @app.post("/failing")
    async def failing(multipart_body: Any) -> Any:
        keep(multipart_body)
        raise KeyError("failed")

    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/sync"])
def test_texts_and_files_are_found_by_name(client: TestClient, path: str) -> None:
    content = form(
        part("title", "Grüße".encode()),
        part("tag", b"a"),
        part("tag", b""),
        part("file", b"\x00\xff", "Content-Type: image/gif", filename="a b.gif"),
    )

    response = client.post(path, headers=HEADERS, content=content)

    assert response.json() == {
        "title": "Grüße",
        "tag": ["a", ""],
        "file": ["a b.gif", "image/gif", 2, "\x00\xff"],
    }


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_a_form_may_come_in_pieces_of_any_size(client: TestClient, size: int) -> None:
    content = form(part("a", b"1\r\n--xy\r\n2"), part("f", b"--xyz" * 9, filename="f"))
    pieces = [content[at : at + size] for at in range(0, len(content), size)]

    response = client.post("/", headers=HEADERS, content=pieces)

    assert response.json() == {
        "a": "1\r\n--xy\r\n2",
        "f": ["f", "text/plain", 45, "--xyz" * 9],
    }


def test_the_form_is_parsed_once_however_many_ask(client: TestClient) -> None:
    content = form(part("a", b"1"))

    response = client.post("/both", headers=HEADERS, content=content)

    assert response.json() == {"bytes": len(content), "same": True}


def test_execute_parses_forms_too() -> None:
    app = RestApplication()

    @app.post("/")
    async def echo(multipart_body: Any) -> Any:
        return {name: told(value) for name, value in multipart_body.items()}

    body = form(part("f", b"12", filename="f"))

    response = app.execute(Request("POST", "/", {"Content-Type": MEDIA_TYPE}, body))

    assert response.body == b'{"f":["f","text/plain",2,"12"]}'
    app.shutdown_sync()


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\fakepath\\photo.jpg", "photo.jpg"),
        ("/", ""),
        ("", ""),
        ("ü.txt", "ü.txt"),
        ('quo\\"ted', 'quo"ted'),
    ],
)
def test_names_of_files_have_no_folders(client: TestClient, filename: str, expected: str) -> None:
    response = client.post("/", headers=HEADERS, content=form(part("f", b"", filename=filename)))

    assert response.json()["f"][0] == expected


def test_texts_are_in_the_charset_of_their_part_or_of_the_form(client: TestClient) -> None:
    content = form(
        part("_charset_", b"iso-8859-1"),
        part("a", b"\xe9"),
        part("b", b"\x80", "Content-Type: text/plain; charset=windows-1252"),
    )

    response = client.post("/", headers=HEADERS, content=content)

    assert response.json() == {"_charset_": "iso-8859-1", "a": "é", "b": "€"}


@pytest.mark.parametrize("path", ["/", "/sync"])
def test_no_content_is_no_form(client: TestClient, path: str) -> None:
    response = client.post(path, headers=HEADERS)

    assert (response.status, response.json()) == (200, {})


@pytest.mark.parametrize("path", ["/", "/sync"])
@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"--xyz",
        b"--xyz\r\n",
        form(part("a", b"1"))[:-6],
        form(part("a", b"1")).replace(b"--xyz--", b"--xyz-x"),
        b"--xyz\r\n\r\nwithout a name\r\n--xyz--",
        b"--xyz\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--xyz--",
        b"--xyz\r\nContent-Disposition\r\n\r\n1\r\n--xyz--",
        b"--xyz\r\nBad Name: 1\r\n\r\n1\r\n--xyz--",
        b"--xyz\r\n: 1\r\n\r\n1\r\n--xyz--",
        b"--xyz\nContent-Disposition: form-data; name=a\n\n1\n--xyz--",
        b"\x00" * 1000,
        form(part("a", b"1", *(f"X-{number}: 1" for number in range(50)))),
        form(part("a", b"1", "X-Long: " + "x" * 10_000)),
        form(part("a", b"1", "X-Split: a\rb")),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_content_that_is_no_form_is_400(client: TestClient, path: str, content: bytes) -> None:
    response = client.post(path, headers=HEADERS, content=content)

    assert response.status == 400


@pytest.mark.parametrize(
    "media_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "x" * 71,
        'multipart/form-data; boundary="ends in a space "',
        'multipart/form-data; boundary="ü"',
    ],
)
def test_a_form_without_a_proper_boundary_is_refused(client: TestClient, media_type: str) -> None:
    response = client.post("/", headers={"Content-Type": media_type}, content=b"--\r\n")

    assert response.status in (400, 415)


def test_another_type_is_415(client: TestClient) -> None:
    response = client.post("/", headers={"Content-Type": "application/json"}, content=b"{}")

    assert response.status == 415


def test_too_many_parts_are_413(client: TestClient) -> None:
    content = form(*(part(f"a{number}", b"") for number in range(6)))

    response = client.post("/", headers=HEADERS, content=content)

    assert response.status == 413


def test_too_much_text_is_413(client: TestClient) -> None:
    content = form(part("a", b"x" * (room.MEMORY_BYTES + 1)))

    response = client.post("/", headers=HEADERS, content=content)

    assert response.status == 413


def test_too_many_files_are_413(monkeypatch: pytest.MonkeyPatch, client: TestClient) -> None:
    monkeypatch.setattr(room, "MAX_FILES", 1)
    content = form(part("a", b"", filename="a"), part("b", b"", filename="b"))

    response = client.post("/", headers=HEADERS, content=content)

    assert response.status == 413


def test_large_files_are_on_disk_and_small_ones_in_memory(
    client: TestClient, kept: list[UploadedFile]
) -> None:
    content = form(
        part("small", b"x", filename="small"),
        part("large", b"x" * (room.MEMORY_BYTES + 1), filename="large"),
        part("later", b"x", filename="later"),
    )
    pieces = [content[at : at + 65536] for at in range(0, len(content), 65536)]

    response = client.post("/sizes", headers=HEADERS, content=pieces)

    assert response.json() == {"small": 1, "large": room.MEMORY_BYTES + 1, "later": 1}
    assert [file.file._rolled for file in kept] == [False, True, True]


@pytest.mark.parametrize(("path", "status"), [("/sizes", 200), ("/failing", 500)])
@pytest.mark.filterwarnings("error")
def test_files_are_closed_when_the_request_is_over(
    client: TestClient, kept: list[UploadedFile], path: str, status: int
) -> None:
    content = form(part("f", b"x", filename="f"))

    response = client.post(path, headers=HEADERS, content=content)

    assert response.status == status
    assert [file.file.closed for file in kept] == [True]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep every temporary file that is opened."""
    files: list[Any] = []
    original = room.SpooledTemporaryFile

    def opening(*args: Any, **named: Any) -> Any:
        files.append(original(*args, **named))
        return files[-1]

    monkeypatch.setattr(room, "SpooledTemporaryFile", opening)
    return files


@pytest.mark.parametrize("path", ["/", "/sync"])
def test_files_of_a_malformed_form_are_closed(
    client: TestClient, opened: list[Any], path: str
) -> None:
    response = client.post(path, headers=HEADERS, content=part("f", b"x", filename="f"))

    assert response.status == 400
    assert [file.closed for file in opened] == [True]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"no boundary", id="no boundary"),
        pytest.param(b"--xyz\r\nA\0: b\r\n\r\n", id="no field name"),
        pytest.param(form(part("a", b"b")) + b"more", id="more after its end"),
    ],
)
def test_no_form_however_malformed_puts_anything_into_the_log(
    client: TestClient, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    caplog.set_level("DEBUG")

    status = client.post("/", headers=HEADERS, content=content).status

    assert status in (200, 400)
    assert [record for record in caplog.records if record.name != "asyncio"] == []


def test_other_users_of_the_parser_hear_its_warnings(caplog: pytest.LogCaptureFixture) -> None:
    parser = room.python_multipart.MultipartParser(b"xyz")

    with pytest.raises(room.FormParserError):
        parser.write(b"no boundary")

    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_files_are_closed_when_the_client_leaves_in_the_middle(opened: list[Any]) -> None:
    app = RestApplication()

    @app.post("/")
    async def never(multipart_body: Any) -> Any:
        raise AssertionError("the form is not complete")

    start = part("f", b"x" * 200_000, filename="f")
    messages = [
        {"type": "http.request", "body": start, "more_body": True},
        {"type": "http.disconnect"},
    ]

    sent = asyncio.run(_converse(app, messages))

    assert sent == []
    assert [file.closed for file in opened] == [True]


async def _converse(app: RestApplication, messages: list[Any]) -> list[Any]:
    from restmachine import ASGIAdapter

    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(b"content-type", MEDIA_TYPE.encode()), (b"transfer-encoding", b"chunked")],
    }

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await ASGIAdapter(app)(scope, receive, send)
    return sent


def test_without_its_parser_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, serve: Callable[[RestApplication], TestClient]
) -> None:
    app = RestApplication()

    @app.post("/")
    async def handler(multipart_body: Any) -> Any:
        return None

    monkeypatch.setattr(room, "python_multipart", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'measured-rest\[multipart\]'"):
        app.execute(Request("POST", "/"))


def test_without_its_parser_other_content_is_parsed_as_ever(
    monkeypatch: pytest.MonkeyPatch, serve: Callable[[RestApplication], TestClient]
) -> None:
    app = RestApplication()

    @app.post("/")
    async def handler(parsed_body: Any) -> Any:
        return parsed_body

    monkeypatch.setattr(room, "python_multipart", None)
    client = serve(app)

    assert client.post("/", json=[1]).json() == [1]
    assert client.post("/", headers=HEADERS, content=form(part("a", b"1"))).status == 415
