"""Entity tags of resources with several representations (RFC 9110 section 8.8.3)."""

from collections.abc import Iterator

import pytest

from restmachine import RestApplication
from restmachine.testing import TestClient


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = RestApplication()
    notes = {"1": "first"}

    @app.resource_exists
    def note(note_id: str) -> str | None:
        return notes.get(note_id)

    @app.generate_etag
    def note_tag(note: str) -> str:
        return note

    @app.get("/notes/{note_id}")
    def read(note: str) -> dict[str, str]:
        return {"text": note}

    @app.put("/notes/{note_id}")
    def change(note: str, note_id: str, text_body: str) -> dict[str, str]:
        notes[note_id] = text_body
        return {"text": text_body}

    with TestClient(app) as started:
        yield started


def tag_of(client: TestClient, accept: str) -> str:
    return client.get("/notes/1", headers={"Accept": accept}).headers["ETag"]


def test_each_media_type_has_a_tag_of_its_own(client: TestClient) -> None:
    tags = {tag_of(client, accept) for accept in ("application/json", "text/html", "text/plain")}

    assert len(tags) == 3


def test_k13_tag_of_the_selected_representation_gives_304(client: TestClient) -> None:
    tag = tag_of(client, "text/html")

    response = client.get("/notes/1", headers={"Accept": "text/html", "If-None-Match": tag})

    assert response.status == 304
    assert response.headers["ETag"] == tag


def test_k13_tag_of_another_representation_gives_the_whole_answer(client: TestClient) -> None:
    tag = tag_of(client, "text/html")

    response = client.get("/notes/1", headers={"Accept": "text/plain", "If-None-Match": tag})

    assert response.status == 200


@pytest.mark.parametrize("read_as", ["application/json", "text/html"])
def test_g11_change_is_allowed_to_whoever_read_any_representation(
    client: TestClient, read_as: str
) -> None:
    headers = {"If-Match": tag_of(client, read_as), "Content-Type": "text/plain"}

    first = client.put("/notes/1", headers=headers, content=b"second")
    lost = client.put("/notes/1", headers=headers, content=b"third")

    assert (first.status, lost.status) == (200, 412)
