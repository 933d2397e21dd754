"""Default header fields: on every response, below what the response states itself."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from restmachine import RestApplication, Router
from restmachine.testing import ClientResponse, TestClient


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("ERROR", logger="restmachine")
    return caplog


@pytest.fixture
def app() -> RestApplication:
    app = RestApplication()

    @app.get("/")
    async def read():
        return {"ok": True}

    @app.post("/")
    async def accept():
        return None

    @app.get("/own")
    async def own():
        return {"ok": True}, 200, {"X-Frame-Options": "SAMEORIGIN", "Vary": "Cookie"}

    @app.get("/broken")
    async def broken():
        raise RuntimeError("broken")

    @app.generate_etag
    async def tag(document):
        return "1"

    @app.dependency()
    async def document():
        return {}

    @app.get("/tagged")
    async def tagged(document):
        return document

    return app


@pytest.fixture
def client(app: RestApplication) -> Iterator[TestClient]:
    @app.default_headers
    async def security():
        return {"X-Frame-Options": "DENY"}

    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 200),
        ("HEAD", "/", {}, 200),
        ("POST", "/", {}, 204),
        ("OPTIONS", "/", {}, 204),
        ("GET", "/tagged", {"If-None-Match": '"1"'}, 304),
        ("GET", "/nowhere", {}, 404),
        ("DELETE", "/", {}, 405),
        ("GET", "/", {"Accept": "image/png"}, 406),
        ("GET", "/broken", {}, 500),
        ("BREW", "/", {}, 501),
    ],
)
def test_every_response_carries_the_default_fields(
    client: TestClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    response = client.request(method, path, headers=headers)

    assert response.status == status
    assert response.headers.get_all("X-Frame-Options") == ["DENY"]


def test_value_of_the_handler_wins_and_vary_is_joined(
    app: RestApplication, client: TestClient
) -> None:
    app.default_headers(lambda: {"Vary": "Origin"})

    response = client.get("/own")

    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert {*response.headers["Vary"].split(", ")} == {"Accept", "Cookie", "Origin"}


def test_function_may_change_the_injected_fields_in_place(
    app: RestApplication, client: TestClient
) -> None:
    @app.default_headers
    async def time(headers, request):
        headers["X-Path"] = request.path

    assert client.get("/").headers["X-Path"] == "/"


def test_several_functions_run_in_order_and_a_later_one_wins(
    app: RestApplication, client: TestClient
) -> None:
    app.default_headers(lambda: {"X-Frame-Options": "SAMEORIGIN", "X-More": "1"})

    response = client.get("/")

    assert (response.headers["X-Frame-Options"], response.headers["X-More"]) == ("SAMEORIGIN", "1")


def test_failing_function_is_logged_and_skipped(
    app: RestApplication, client: TestClient, log: pytest.LogCaptureFixture
) -> None:
    @app.default_headers
    async def failing():
        raise RuntimeError("no header today")

    response = client.get("/")

    assert response.status == 200
    assert response.headers["X-Frame-Options"] == "DENY"
    assert '"failing" failed' in log.text


def test_value_that_could_break_the_message_is_left_out(
    app: RestApplication, client: TestClient
) -> None:
    app.default_headers(lambda: {"X-Evil": "a\r\nSet-Cookie: x"})

    response = client.get("/")

    assert response.status == 200
    assert "X-Evil" not in response.headers


def test_functions_are_injected_and_share_the_values_of_the_request(
    app: RestApplication, client: TestClient
) -> None:
    @app.default_headers
    async def identify(request_id):
        return {"X-Request-ID": request_id}

    @app.get("/named")
    async def named(request_id):
        return {"request_id": request_id}

    response = client.get("/named")

    assert response.headers["X-Request-ID"] == response.json()["request_id"]


def test_functions_that_may_block_run_beside_the_event_loop(
    app: RestApplication, client: TestClient
) -> None:
    app.default_headers(lambda: {"X-Thread": threading.current_thread().name})

    response = client.get("/")

    assert response.headers["X-Thread"].startswith("restmachine-worker")


def test_function_that_does_not_block_stays_on_the_loop(
    app: RestApplication, client: TestClient
) -> None:
    app.default_headers(blocking=False)(lambda: {"X-Thread": threading.current_thread().name})

    assert client.get("/").headers["X-Thread"] == threading.current_thread().name


def test_fields_that_describe_content_are_left_out_of_errors(
    app: RestApplication, client: TestClient
) -> None:
    app.default_headers(lambda: {"ETag": '"x"', "Content-Language": "en"})

    response = client.get("/nowhere")

    assert "ETag" not in response.headers and "Content-Language" not in response.headers


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_framing_of_content_is_never_taken_from_a_default(
    app: RestApplication, client: TestClient, method: str
) -> None:
    app.default_headers(lambda: {"Content-Length": "1", "Transfer-Encoding": "chunked"})

    response = client.request(method, "/")

    assert response.headers.get("Content-Length", "0") == str(len(response.content))
    assert "Transfer-Encoding" not in response.headers


def test_default_fields_survive_a_failing_teardown_and_are_asked_for_once(
    app: RestApplication,
) -> None:
    calls = []

    @app.dependency()
    async def transaction():
        yield
        raise RuntimeError("the commit failed")

    @app.get("/committed")
    async def committed(transaction):
        return {"saved": True}

    @app.default_headers
    async def counted():
        calls.append(1)
        return {"X-Default": "yes"}

    response = TestClient(app).get("/committed")

    assert (response.status, response.headers["X-Default"], calls) == (500, "yes", [1])


def test_streamed_responses_carry_the_default_fields(
    app: RestApplication, client: TestClient
) -> None:
    @app.get("/stream")
    async def stream():
        return iter([b"a", b"b"])

    response = client.get("/stream")

    assert (response.content, response.headers["X-Frame-Options"]) == (b"ab", "DENY")


def test_functions_of_a_router_hold_at_and_below_its_prefix(app: RestApplication) -> None:
    router = Router()
    router.default_headers(lambda: {"X-API": "1"})
    app.mount("/api", router)
    client = TestClient(app)

    assert client.get("/api/nowhere").headers["X-API"] == "1"
    assert "X-API" not in client.get("/").headers


def test_overlapping_requests_keep_their_own_fields_and_identifiers(
    app: RestApplication,
) -> None:
    @app.default_headers
    async def path(request):
        await asyncio.sleep(0)
        return {"X-Path": request.path}

    @app.request_id
    async def from_the_client(request_headers):
        await asyncio.sleep(0)
        return request_headers["X-Request-ID"]

    client = TestClient(app)

    async def together() -> list[ClientResponse]:
        return await asyncio.gather(
            *(
                client.request_async("GET", f"/nowhere/{n}", headers={"X-Request-ID": f"r-{n}"})
                for n in range(50)
            )
        )

    responses = client.run(together())

    assert [response.headers["X-Path"] for response in responses] == [
        f"/nowhere/{n}" for n in range(50)
    ]
    assert [response.json()["request_id"] for response in responses] == [
        f"r-{n}" for n in range(50)
    ]


def test_plan_of_an_application_without_any_has_no_ending(app: RestApplication) -> None:
    plan, _ = app.dispatch("GET", "/")

    assert plan.ending is None


@pytest.mark.parametrize("inner_first", [True, False])
def test_the_fields_of_an_inner_router_win_whichever_was_mounted_first(inner_first: bool) -> None:
    app, outer, inner = RestApplication(), Router(), Router()

    @outer.default_headers
    async def of_outer():
        return {"X-From": "outer"}

    @inner.default_headers
    async def of_inner():
        return {"X-From": "inner"}

    @inner.get("/x")
    async def read():
        return {}

    mounts = [("/api", outer), ("/api/v1", inner)]
    for prefix, router in reversed(mounts) if inner_first else mounts:
        app.mount(prefix, router)

    with TestClient(app) as client:
        response = client.get("/api/v1/x")

    assert response.headers["X-From"] == "inner"


def test_the_fields_of_a_text_win_over_those_of_a_parameter() -> None:
    app, named, any_tenant = RestApplication(), Router(), Router()

    @named.default_headers
    async def of_named():
        return {"X-From": "named"}

    @any_tenant.default_headers
    async def of_any():
        return {"X-From": "any"}

    @named.get("/x")
    async def read():
        return {}

    app.mount("/admin", named)
    app.mount("/{tenant}", any_tenant)

    with TestClient(app) as client:
        response = client.get("/admin/x")

    assert response.headers["X-From"] == "named"


def test_a_file_that_answers_an_error_has_each_cookie_once(tmp_path: Path) -> None:
    app, page = RestApplication(), tmp_path / "lost.html"
    page.write_text("lost")

    @app.default_headers
    async def cookie():
        return {"Set-Cookie": "a=1"}

    @app.handles_error(404)
    async def lost():
        return page

    with TestClient(app) as client:
        response = client.get("/nowhere")

    assert response.content == b"lost"
    assert response.headers.get_all("Set-Cookie") == ["a=1"]
