"""What the page promises of routes that skip decisions, and of what wraps the application."""

import gzip

import pytest
from servings import Served


@pytest.mark.block("Bypass State Machine for Simple Routes")
def test_bypass_answers_whatever_is_accepted(served: Served) -> None:
    wishes = {"Accept": "image/png"}

    decided = served.ask("GET /api/data", headers=wishes)
    bypassed = served.ask("GET /api/fast", headers=wishes)

    assert decided.status == 406
    assert bypassed.status == 200
    assert bypassed.headers["Content-Type"] == "application/json"
    assert bypassed.json() == {"message": "Fast!"}


@pytest.mark.block("Bypass State Machine for Simple Routes")
def test_route_beside_a_bypass_negotiates(served: Served) -> None:
    as_json = served.ask("GET /api/data")
    as_text = served.ask("GET /api/data", headers={"Accept": "text/plain"})

    assert as_json.json() == {"message": "Hello"}
    assert as_text.text == "message: Hello"


@pytest.mark.block("Optimize State Machine Decorators")
def test_answer_is_fresh_for_an_hour(served: Served) -> None:
    answer = served.ask("GET /api/public-data")

    assert answer.headers["Cache-Control"] == "max-age=3600"
    assert answer.json() == {"data": ["..."]}


@pytest.mark.block("Optimize State Machine Decorators")
def test_route_that_skips_negotiation_only_returns_json(served: Served) -> None:
    answer = served.ask("GET /api/public-data", headers={"Accept": "text/html"})

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert "Vary" not in answer.headers


@pytest.mark.block("Optimize State Machine Decorators")
def test_route_that_skips_the_auth_check_is_open_where_others_are_not(served: Served) -> None:
    assert served.ask("GET /api/public-data").status == 200
    assert served.ask("GET /guarded").status == 401


@pytest.mark.block("Enable Compression in ASGI Server", servings=("in-process", "uvicorn"))
def test_middleware_compresses_long_content_only(served: Served) -> None:
    wishes = {"Accept-Encoding": "gzip"}

    long = served.ask("GET /long", headers=wishes)
    short = served.ask("GET /short", headers=wishes)

    assert long.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(long.content) == b'{"text":"' + b"again and " * 200 + b'"}'
    assert "Accept-Encoding" in long.headers["Vary"]
    assert "Content-Encoding" not in short.headers
    assert short.json() == {"text": "once"}


@pytest.mark.block("Enable Compression in ASGI Server")
def test_content_is_whole_where_nobody_asks_for_compression(served: Served) -> None:
    answer = served.ask("GET /long")

    assert "Content-Encoding" not in answer.headers
    assert answer.json() == {"text": "again and " * 200}
