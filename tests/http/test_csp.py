"""What answers say of what pages may load (CSP Level 3), whatever the answer is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from answers import JSON, declare_answers, declare_checks

from restmachine import CSPConfig, CSPPreset, Observer, Request, RestApplication, Router
from restmachine.decorators import cache_response
from restmachine.testing import ClientResponse, TestClient

SERVER = "h11"  # httptools refuses methods that it does not know

CSP = "Content-Security-Policy"
ONLY = "Content-Security-Policy-Report-Only"
NONCE = r"[A-Za-z0-9_-]{43}"
OWN = {CSP: "default-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'"}
FRESH = {CSP: re.compile(f"script-src 'self' 'nonce-{NONCE}'; img-src https://img.example")}
ASKED = {CSP: re.compile(r"default-src https://of-\w+\.example"), "Vary": re.compile("Accept")}


def application() -> RestApplication:
    """Return an application of which everything has a policy, and some of it another."""
    app = RestApplication(max_uri=200, max_headers=2000, clock=lambda: 1000.0)  # nothing ages
    app.csp(preset=CSPPreset.STRICT)
    fresh, asked = Router(), Router()
    fresh.csp(script_src=["self"], img_src=lambda: ["https://img.example"], nonce=True)

    @asked.csp_provider
    def provide(request: Request) -> CSPConfig | None:
        name = request.path.rpartition("/")[2] or "root"
        return None if name == "kept" else CSPConfig(default_src=[f"https://of-{name}.example"])

    for router in (app, fresh, asked):
        declare_answers(router)
        router.get("/stated")(state)
    declare_checks(app)
    app.mount("/fresh", fresh)
    app.mount("/asked", asked)

    @app.get("/of-route")
    @app.csp(img_src=["data:"], report_only=True)
    async def of_route() -> dict[str, int]:
        return {"a": 1}

    @asked.get("/of-route")
    @app.csp(img_src=["data:"])
    async def asked_before_the_route() -> dict[str, int]:
        return {"a": 1}

    @app.get("/stored")
    @cache_response(max_age=60, server=True, public=True)
    async def stored() -> dict[str, int]:
        return {"a": 1}

    return app


async def state() -> Any:
    """State a policy of its own."""
    return {}, 200, {CSP: "sandbox"}


# What is asked, and the status, below each of three levels.
ANSWERS: list[tuple[str, str, dict[str, str], int, bytes]] = [
    ("200", "GET data", {}, 200, b""),
    ("head", "HEAD data", {}, 200, b""),
    ("201", "POST data", JSON, 201, b"{}"),
    ("204", "PUT data", {}, 204, b""),
    ("options", "OPTIONS data", {}, 204, b""),
    ("200-tagged", "GET tagged", {}, 200, b""),
    ("412", "GET tagged", {"If-Match": '"2"'}, 412, b""),
    ("file", "GET file", {}, 200, b""),
    ("206", "GET file", {"Range": "bytes=0-3"}, 206, b""),
    ("416", "GET file", {"Range": "bytes=9999999-"}, 416, b""),
    ("stream", "GET stream", {}, 200, b""),
    ("stream-that-fails", "GET late", {}, 500, b""),
    ("400", "POST data", JSON, 400, b"{"),
    ("401", "GET data", {"X-Nobody": "1"}, 401, b""),
    ("404-without-a-route", "GET nowhere", {}, 404, b""),
    ("404-of-a-handler", "GET absent", {}, 404, b""),
    ("405", "DELETE data", {}, 405, b""),
    ("406", "GET data", {"Accept": "image/png"}, 406, b""),
    ("414", f"GET data?{'a' * 300}", {}, 414, b""),
    ("500", "GET broken", {}, 500, b""),
    ("501", "BREW data", {}, 501, b""),
    ("bypass", "GET bypass", {}, 202, b""),
]


def below(place: str, fields: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the cases of a level."""
    for id, line, sent, status, content in ANSWERS:
        method, _, path = line.partition(" ")
        yield (
            f"csp{place.replace('/', '-')}-{id}",
            f"{method} {place}/{path}",
            sent,
            status,
            {CSP: fields[CSP], ONLY: None},
            content,
        )


CASES: list[tuple[Any, ...]] = [
    *below("", OWN),
    *(case for case in below("/fresh", FRESH) if "head" not in case[0]),
    # A cache would put the nonce into the page that it keeps.
    ("csp-fresh-head", "HEAD /fresh/data", {}, 200, {CSP: None}),
    *below("/asked", ASKED),
    ("csp-304", "GET /tagged", {"If-None-Match": '"1"'}, 304, OWN),
    ("csp-304-asked", "GET /asked/tagged", {"If-None-Match": '"1"'}, 304, ASKED),
    # The client keeps the page, and with it the nonce which that has.
    ("csp-304-fresh", "GET /fresh/tagged", {"If-None-Match": '"1"'}, 304, {CSP: None}),
    ("csp-404-settled", "GET /nowhere", {}, 404, OWN),
    ("csp-stored", "GET /stored", {}, 200, OWN | {"Age": "0"}),
    ("csp-of-a-route", "GET /of-route", {}, 200, {CSP: None, ONLY: "img-src data:"}),
    ("csp-405-beside-a-route", "PUT /of-route", {}, 405, OWN),
    ("csp-provider-goes-before-the-route", "GET /asked/of-route", {}, 200,
        {CSP: "default-src https://of-of-route.example"}),
    ("csp-provider-leaves-it-to-others", "GET /asked/kept", {}, 404, OWN),
    ("csp-segments-bound-a-level", "GET /askedx", {}, 404, OWN),
    ("csp-stated", "GET /stated", {}, 200, {CSP: "sandbox"}),
    ("csp-stated-fresh", "GET /fresh/stated", {}, 200, {CSP: "sandbox"}),
    ("csp-431-is-not-asked", "GET /asked/data", {"X-Long": "a" * 3000}, 431, OWN),
]  # fmt: skip


def test_csp(case: Any, client: TestClient) -> None:
    client.get("/stored")

    response: ClientResponse = case.ask(client)

    assert response.status == case.status
    assert case.differences(response) == {}
    assert len(response.headers.get_all(CSP)) <= 1


@pytest.fixture
def app(alone_or_observed: RestApplication) -> RestApplication:
    """Give an application of its own, which somebody may observe."""
    return alone_or_observed


def nonce_of(response: ClientResponse) -> str:
    """Return the nonce that a response allows."""
    found = re.search(f"'nonce-({NONCE})'", response.headers[CSP])
    assert found is not None
    return found[1]


@pytest.mark.parametrize("blocking", [True, False])
def test_the_nonce_of_the_request_is_that_of_the_answer(
    app: RestApplication, blocking: bool
) -> None:
    app.csp(script_src=["self"], nonce=True)
    app.get("/x", blocking=blocking)(lambda request: {"nonce": request.csp_nonce})
    client = TestClient(app)

    first, second = client.get("/x"), client.get("/x")

    assert first.json()["nonce"] == nonce_of(first)
    assert second.json()["nonce"] == nonce_of(second) != nonce_of(first)


def test_the_nonce_is_there_for_dependencies_renderers_and_error_handlers(
    app: RestApplication,
) -> None:
    app.csp(style_src=["self"], nonce=True)

    @app.dependency()
    async def before(request: Request) -> str:
        return request.csp_nonce

    @app.content_renderer("text/html")
    def html(data: Any, request: Request) -> str:
        return f"{data['before']} {request.csp_nonce}"

    @app.handles_error(404)
    async def lost(request: Request) -> str:
        return request.csp_nonce

    @app.get("/x")
    async def page(before: str) -> dict[str, str]:
        return {"before": before}

    client = TestClient(app)

    found, absent = client.get("/x", headers={"Accept": "text/html"}), client.get("/nowhere")

    assert found.text == f"{nonce_of(found)} {nonce_of(found)}"
    assert absent.text == nonce_of(absent)


def test_who_looks_at_a_request_late_sees_the_nonce_that_is_sent(app: RestApplication) -> None:
    seen = []

    class Late(Observer):
        def response_started(self, exchange: Any, status: int, now: float) -> None:
            seen.append(exchange.message.csp_nonce)

    app.observe(Late())
    app.csp(script_src=["self"], nonce=True)
    app.get("/x")(lambda: {"a": 1})

    answer = TestClient(app).get("/x")

    assert seen == [nonce_of(answer)]


def test_there_is_no_nonce_where_no_policy_has_one(app: RestApplication) -> None:
    app.csp(script_src=["self"])

    @app.get("/x")
    async def read(request: Request) -> dict[str, bool]:
        return {"has": hasattr(request, "csp_nonce")}

    assert TestClient(app).get("/x").json() == {"has": False}


def test_requests_that_overlap_have_a_nonce_of_their_own_each(app: RestApplication) -> None:
    app.csp(script_src=["self"], nonce=True)

    @app.get("/x")
    async def read(request: Request) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"nonce": request.csp_nonce}

    client = TestClient(app)

    async def ask() -> list[ClientResponse]:
        return await asyncio.gather(*[client.request_async("GET", "/x") for _ in range(100)])

    answers = client.run(ask())

    assert [answer.json()["nonce"] for answer in answers] == [*map(nonce_of, answers)]
    assert len({*map(nonce_of, answers)}) == 100


@pytest.mark.parametrize(
    ("line", "status"),
    [("GET /x", 200), ("GET /nowhere", 404), ("PUT /x", 405), ("GET /late", 500), ("GET /y", 500)],
)
def test_provider_and_functions_are_asked_once_for_each_response(
    app: RestApplication, line: str, status: int
) -> None:
    asked = []

    @app.csp_provider
    def provide(request: Request) -> CSPConfig:
        asked.append("provider")
        return CSPConfig(img_src=sources, nonce=True)

    def sources() -> list[str]:
        asked.append("function")
        return ["self"]

    @app.dependency()
    async def failing() -> AsyncIterator[None]:
        yield
        raise RuntimeError

    @app.get("/x")
    async def read(request: Request) -> dict[str, str]:
        return {"nonce": request.csp_nonce}

    @app.get("/late")
    async def late() -> Any:
        def pieces() -> Iterator[bytes]:
            raise RuntimeError
            yield b""

        return pieces()

    app.get("/y")(lambda failing, request: {"nonce": request.csp_nonce})

    answer = TestClient(app).request(*line.split())

    assert (answer.status, answer.headers[CSP]) == (status, "img-src 'self'")
    assert sorted(asked) == ["function", "provider"]


def test_a_kept_answer_never_has_the_nonce_of_another_request(app: RestApplication) -> None:
    @app.csp_provider
    def provide(request: Request) -> CSPConfig:
        return CSPConfig(script_src=["self"], nonce=True)

    @app.get("/x")
    @cache_response(max_age=60, server=True)
    async def read(request: Request) -> dict[str, str]:
        return {"nonce": request.csp_nonce}

    client = TestClient(app)

    answers = [client.get("/x") for _ in range(3)]

    assert [answer.json()["nonce"] for answer in answers] == [*map(nonce_of, answers)]
    assert len({*map(nonce_of, answers)}) == 3


def test_a_policy_that_a_provider_cannot_tell_allows_nothing_more(
    app: RestApplication, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("ERROR", logger="restmachine")
    inner = Router()
    inner.get("/x")(lambda: {"a": 1})
    app.mount("/inner", inner)
    app.get("/x")(lambda: {"a": 1})
    inner.csp(default_src=["https://inner.example"])

    @app.csp_provider
    def provide(request: Request) -> Any:
        return 1 / 0 if request.path == "/x" else "default-src *"

    client = TestClient(app)

    assert client.get("/x").headers[CSP] == "default-src 'none'"
    assert client.get("/inner/x").headers[CSP] == "default-src https://inner.example"
    assert caplog.text.count('provide" failed') == 2


@pytest.mark.parametrize(
    ("given", "only", "stated"),
    [
        ("a b", False, "default-src 'none'"),
        (["x\r\nSet-Cookie: a=1"], False, "default-src 'none'"),
        (["x; script-src *"], False, "default-src 'none'"),
        (["x; script-src *"], True, None),
    ],
)
def test_sources_that_cannot_be_sent_are_logged_and_allow_nothing(
    app: RestApplication,
    caplog: pytest.LogCaptureFixture,
    given: Any,
    only: bool,
    stated: str | None,
) -> None:
    caplog.set_level("ERROR", logger="restmachine")
    app.csp(img_src=lambda: given, report_only=only)
    app.get("/x")(lambda: {"a": 1})

    answer = TestClient(app).get("/x")

    assert answer.status == 200
    assert (answer.headers.get(CSP), answer.headers.get(ONLY)) == (stated, None)
    assert "cannot be told" in caplog.text


def test_a_policy_goes_before_default_fields(app: RestApplication) -> None:
    app.csp(default_src=["self"])
    app.default_headers(lambda: {CSP: "default-src *", "X-Default": "1"})
    app.get("/x")(lambda: {"a": 1})

    answer = TestClient(app).get("/x")

    assert answer.headers.get_all(CSP) == ["default-src 'self'"]
    assert answer.headers["X-Default"] == "1"


def test_an_error_handler_that_states_a_policy_is_left_alone(app: RestApplication) -> None:
    app.csp(default_src=["self"])
    app.handles_error(404)(lambda: ("lost", 404, {CSP: "sandbox"}))

    assert TestClient(app).get("/nowhere").headers.get_all(CSP) == ["sandbox"]
