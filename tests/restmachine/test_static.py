"""Static files: what is found below a folder, and that nothing else ever is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from restmachine import RestApplication, StaticRouter
from restmachine.testing import TestClient

Serve = Callable[[RestApplication], TestClient]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder of files, with a secret beside it to which a link leads."""
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "site-secrets").mkdir()
    (tmp_path / "site-secrets" / "index.html").write_text("secret")
    folder = tmp_path / "site"
    (folder / "docs").mkdir(parents=True)
    (folder / "bare").mkdir()
    (folder / "index.html").write_text("<h1>home</h1>")
    (folder / "docs" / "index.html").write_text("<h1>docs</h1>")
    (folder / "style.css").write_text("p {}")
    (folder / "with space %.txt").write_text("odd name")
    (folder / "leak.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "leaks").symlink_to(tmp_path)
    (folder / "again.css").symlink_to(folder / "style.css")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "leaking-index").mkdir()
    (folder / "leaking-index" / "index.html").symlink_to(tmp_path / "secret.txt")
    return folder


@pytest.fixture
def client(folder: Path, serve: Serve) -> TestClient:
    app = RestApplication()
    app.mount("/static", StaticRouter(folder))
    return serve(app)


@pytest.mark.parametrize(
    ("path", "content", "media_type"),
    [
        pytest.param("/static/style.css", b"p {}", "text/css", id="file"),
        pytest.param("/static//style.css", b"p {}", "text/css", id="doubled slash"),
        pytest.param("/static/again.css", b"p {}", "text/css", id="link inside"),
        pytest.param("/static/docs/../style.css", b"p {}", "text/css", id="dots inside"),
        pytest.param("/static/with%20space%20%25.txt", b"odd name", "text/plain", id="encoded"),
        pytest.param("/static", b"<h1>home</h1>", "text/html", id="index"),
        pytest.param("/static/", b"<h1>home</h1>", "text/html", id="index with slash"),
        pytest.param("/static/docs", b"<h1>docs</h1>", "text/html", id="index below"),
        pytest.param("/static/docs/", b"<h1>docs</h1>", "text/html", id="index below with slash"),
    ],
)
def test_what_is_in_the_folder_is_sent(
    client: TestClient, path: str, content: bytes, media_type: str
) -> None:
    response = client.get(path)

    assert (response.status, response.content) == (200, content)
    assert response.headers["Content-Type"] == media_type
    assert client.head(path).headers == response.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/static/missing.css", id="missing"),
        pytest.param("/static/bare", id="folder without index"),
        pytest.param("/static/style.css/deeper", id="below a file"),
        pytest.param("/static/../secret.txt", id="dots"),
        pytest.param("/static/%2e%2e/secret.txt", id="encoded dots"),
        pytest.param("/static/..%2fsecret.txt", id="encoded slash"),
        pytest.param("/static/%2e%2e%2fsecret.txt", id="encoded both"),
        pytest.param("/static/docs/../../secret.txt", id="dots from below"),
        pytest.param("/static/..%2fsite-secrets", id="folder whose name begins alike"),
        pytest.param("/static/..", id="parent"),
        pytest.param("/static/%2fetc%2fpasswd", id="absolute"),
        pytest.param("/static/..%5csecret.txt", id="backslash"),
        pytest.param("/static/leak.txt", id="link out"),
        pytest.param("/static/leaks/secret.txt", id="through a link out"),
        pytest.param("/static/leaking-index", id="index that is a link out"),
        pytest.param("/static/loop", id="loop of links"),
        pytest.param("/static/style.css%00.txt", id="zero byte"),
        pytest.param("/static/" + "a" * 5000, id="long name"),
        pytest.param("/static/" + "a/" * 4000, id="deep name"),
    ],
)
def test_anything_else_is_404(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, path)

    assert response.status == 404
    assert b"secret" not in response.content


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_405_with_allow(client: TestClient, method: str) -> None:
    response = client.request(method, "/static/style.css")

    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_conditions_and_ranges_are_those_of_every_file(client: TestClient) -> None:
    tag = client.get("/static/style.css").headers["ETag"]

    def status(**fields: str) -> int:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        return client.get("/static/style.css", headers=headers).status

    assert status(If_None_Match=tag) == 304
    assert status(If_Match=tag) == 200
    assert status(If_Match='"other"') == 412
    assert status(Range="bytes=0-1", If_Range=tag) == 206
    assert status(Range="bytes=9-") == 416


def test_a_picture_is_sent_to_whoever_accepts_only_pictures(
    client: TestClient, folder: Path
) -> None:
    (folder / "dot.png").write_bytes(b"\x89PNG")

    response = client.get("/static/dot.png", headers={"Accept": "image/png"})

    assert (response.status, response.headers["Content-Type"]) == (200, "image/png")


def test_files_that_come_later_are_found_too(client: TestClient, folder: Path) -> None:
    (folder / "later.txt").write_text("later")

    assert client.get("/static/later.txt").text == "later"


def test_several_folders_each_have_their_prefix_and_index(folder: Path, serve: Serve) -> None:
    app = RestApplication()
    app.mount("/docs", StaticRouter(folder / "docs"))
    app.mount("/styles", StaticRouter(str(folder), index_file="style.css"))
    client = serve(app)

    assert client.get("/docs").text == "<h1>docs</h1>"
    assert client.get("/styles").text == "p {}"
    assert client.get("/elsewhere").status == 404


def test_routes_of_the_application_win_over_files(folder: Path, serve: Serve) -> None:
    app = RestApplication()
    app.mount("/", StaticRouter(folder))

    @app.get("/style.css")
    def style():
        return "from the handler"

    client = serve(app)

    assert client.get("/style.css").text == "from the handler"
    assert client.get("/again.css").text == "p {}"


def test_a_folder_that_is_none_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(ValueError, match="missing, which does not exist"):
        StaticRouter(folder / "missing")
    with pytest.raises(ValueError, match=r"style\.css, which is no folder"):
        StaticRouter(folder / "style.css")


def test_it_tells_what_it_serves(folder: Path) -> None:
    router = StaticRouter(folder)

    assert (router.directory, router.index_file) == (folder.resolve(), "index.html")
