"""Whose a response policy is: an application's, a router's, or that of the routes it decorates."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from restmachine import ConfigurationError, CSPConfig, Request, RestApplication, Router
from restmachine.plan import Plan
from restmachine.testing import TestClient

FRIEND, OTHER, THIRD = "https://a.example", "https://b.example", "https://c.example"
CSP, ALLOWED = "Content-Security-Policy", "Access-Control-Allow-Origin"


def handler() -> dict[str, int]:
    return {"a": 1}


def allowed(app: RestApplication, path: str, origin: str = FRIEND, method: str = "GET") -> Any:
    """Return for which origin an answer is."""
    request = Request(method, path, headers={"Origin": origin})
    return app.execute(request).headers.get(ALLOWED)


def stated(app: RestApplication, path: str) -> str | None:
    """Return the content security policy of an answer."""
    return app.execute(Request("GET", path)).headers.get(CSP)


def plan_of(app: RestApplication, path: str) -> Plan:
    plan, _ = app.dispatch("GET", path)
    return plan


@pytest.fixture
def app() -> RestApplication:
    return RestApplication(blocking=False)


def test_the_policy_of_a_decorated_route_is_not_that_of_the_application(
    app: RestApplication,
) -> None:
    @app.get("/own")
    @app.cors(FRIEND)
    @app.csp(default_src=["self"])
    def own() -> dict[str, int]:
        return {"a": 1}

    app.get("/beside")(handler)

    assert (allowed(app, "/own"), stated(app, "/own")) == (FRIEND, "default-src 'self'")
    assert (allowed(app, "/beside"), stated(app, "/beside")) == (None, None)
    assert (allowed(app, "/nowhere"), stated(app, "/nowhere")) == (None, None)
    assert plan_of(app, "/beside").policy is plan_of(app, "/beside").ending is None


def test_a_decorated_route_leaves_the_policy_of_the_application_as_it_is(
    app: RestApplication,
) -> None:
    app.cors(FRIEND)
    app.get("/own")(app.cors(OTHER)(lambda: {"a": 1}))
    app.get("/beside")(handler)

    assert (allowed(app, "/own"), allowed(app, "/own", OTHER)) == (None, OTHER)
    assert (allowed(app, "/beside"), allowed(app, "/beside", OTHER)) == (FRIEND, None)


def test_a_policy_used_later_as_a_decorator_is_no_longer_that_of_the_application(
    app: RestApplication,
) -> None:
    policy = app.cors(FRIEND)
    app.get("/beside")(handler)
    before = allowed(app, "/beside")

    app.get("/own")(policy(lambda: {"a": 1}))

    assert before == FRIEND
    assert (allowed(app, "/beside"), allowed(app, "/own")) == (None, FRIEND)


def test_one_decorator_reaches_every_route_declared_above_it(app: RestApplication) -> None:
    other = Router()

    @app.get("/one")
    @app.post("/one")
    @other.get("/two")
    @app.cors(FRIEND)
    def read() -> dict[str, int]:
        return {"a": 1}

    app.mount("/other", other)

    assert allowed(app, "/one") == FRIEND
    assert allowed(app, "/one", method="POST") == FRIEND
    assert allowed(app, "/other/two") == FRIEND


def test_one_decorator_serves_several_handlers(app: RestApplication) -> None:
    open_to_friend = app.cors(FRIEND)
    app.get("/one")(open_to_friend(lambda: {"a": 1}))
    app.get("/two")(open_to_friend(lambda: {"a": 2}))

    assert (allowed(app, "/one"), allowed(app, "/two")) == (FRIEND, FRIEND)
    assert allowed(app, "/nowhere") is None


@pytest.mark.parametrize("name", ["cors", "csp"])
def test_a_policy_above_the_route_decorator_is_refused(app: RestApplication, name: str) -> None:
    settings = {"cors": {"origins": FRIEND}, "csp": {"img_src": ["self"]}}[name]
    decorate = getattr(app, name)(**settings)

    with pytest.raises(ConfigurationError, match=f"@{name} stands above the decorator of GET /x"):
        decorate(app.get("/x")(lambda: None))


@pytest.mark.parametrize("mounted", ["outer", "inner"])
def test_a_policy_above_the_route_decorator_of_another_router_is_refused(
    app: RestApplication, mounted: str
) -> None:
    router = Router()
    app.mount("/r", router)
    stating, routing = {"outer": (app, router), "inner": (router, app)}[mounted]
    stating.csp(default_src=["none"])(routing.get("/x")(lambda: None))

    with pytest.raises(ConfigurationError, match=r"@csp stands above the decorator of GET .*/x"):
        assert app.compiled


def test_a_policy_goes_with_a_handler_to_every_application(app: RestApplication) -> None:
    other = RestApplication(blocking=False)
    other.get("/before")(shared)
    app.get("/x")(app.cors(FRIEND)(shared))
    other.get("/after")(shared)

    assert (allowed(app, "/x"), allowed(other, "/after")) == (FRIEND, FRIEND)
    assert allowed(other, "/before") is None


def shared() -> dict[str, int]:
    return {"a": 1}


def test_a_decorated_function_keeps_its_name_and_signature(app: RestApplication) -> None:
    decorated = app.csp(img_src=["self"])(app.cors(FRIEND)(handler_of_its_own))

    assert decorated is handler_of_its_own


def handler_of_its_own() -> None:
    return None


def test_the_policy_stated_last_holds(app: RestApplication) -> None:
    app.cors(FRIEND)
    app.cors(OTHER)
    app.get("/x")(handler)

    assert (allowed(app, "/x"), allowed(app, "/x", OTHER)) == (None, OTHER)


def nested(app: RestApplication) -> tuple[Router, Router]:
    """Mount a router on a router on an application, each with a route."""
    outer, inner = Router(), Router()
    outer.mount("/inner", inner)
    app.mount("/outer", outer)
    for router in (app, outer, inner):
        router.get("/x")(handler)
    return outer, inner


PLACES = ["/x", "/outer/x", "/outer/inner/x"]
STATE: list[Callable[[Any, str], Any]] = [
    lambda router, name: router.csp(default_src=[f"https://{name}.example"]),
    lambda router, name: router.csp(default_src=lambda: [f"https://{name}.example"]),
]


@pytest.mark.parametrize("state", STATE)
@pytest.mark.parametrize(
    ("stating", "found"),
    [
        ("app", ["app", "app", "app"]),
        ("outer", [None, "outer", "outer"]),
        ("inner", [None, None, "inner"]),
        ("app inner", ["app", "app", "inner"]),
        ("app outer inner", ["app", "outer", "inner"]),
    ],
)
def test_the_innermost_level_that_states_a_policy_has_it(
    app: RestApplication, state: Callable[[Any, str], Any], stating: str, found: list[str | None]
) -> None:
    outer, inner = nested(app)
    levels = {"app": app, "outer": outer, "inner": inner}
    for name in stating.split():
        state(levels[name], name)

    expected = [name and f"default-src https://{name}.example" for name in found]
    assert [stated(app, place) for place in PLACES] == expected
    assert [stated(app, f"{place}/none") for place in PLACES] == expected


def test_a_request_that_is_executed_has_the_nonce_of_its_answer(app: RestApplication) -> None:
    app.csp(script_src=["self"], nonce=True)
    app.get("/x")(lambda request: {"nonce": request.csp_nonce})
    request = Request("GET", "/x")

    answers = [app.execute(request) for _ in range(2)]

    nonces = [json.loads(answer.body)["nonce"] for answer in answers]
    policies = [answer.headers[CSP] for answer in answers]
    assert policies == [f"script-src 'self' 'nonce-{nonce}'" for nonce in nonces]
    assert nonces[0] != nonces[1] == request.csp_nonce


def test_requests_on_many_threads_get_what_is_theirs(app: RestApplication) -> None:
    app.cors("*")
    app.csp(script_src=["self"], nonce=True)
    app.get("/x")(lambda request: {"nonce": request.csp_nonce})

    def ask(number: int) -> tuple[bool, str]:
        origin = f"https://{number}.example"
        answer = app.execute(Request("GET", "/x", headers={"Origin": origin}))
        nonce = json.loads(answer.body)["nonce"]
        policy = f"script-src 'self' 'nonce-{nonce}'"
        return (answer.headers[ALLOWED], answer.headers[CSP]) == (origin, policy), nonce

    with ThreadPoolExecutor(8) as threads:
        asked = [*threads.map(ask, range(500))]

    assert all(own for own, _ in asked)
    assert len({nonce for _, nonce in asked}) == 500


def test_a_level_states_each_of_its_policies_apart(app: RestApplication) -> None:
    outer, inner = nested(app)
    outer.csp(default_src=["self"])
    inner.cors(FRIEND)

    assert stated(app, "/outer/inner/x") == "default-src 'self'"
    assert allowed(app, "/outer/inner/x") == FRIEND
    assert allowed(app, "/outer/x") is None


def test_policies_stated_after_mounting_hold_too(app: RestApplication) -> None:
    outer, _ = nested(app)
    before = allowed(app, "/outer/x")

    outer.cors(FRIEND)

    assert (before, allowed(app, "/outer/x")) == (None, FRIEND)


def test_the_innermost_provider_goes_before_every_other_policy(app: RestApplication) -> None:
    outer, inner = nested(app)
    outer.csp(default_src=["self"])
    outer.csp_provider(lambda request: None)
    app.csp_provider(lambda request: CSPConfig(default_src=["https://app.example"]))
    inner.get("/own")(inner.csp(default_src=["none"])(lambda: {"a": 1}))

    assert stated(app, "/outer/inner/own") == "default-src 'none'"
    assert stated(app, "/outer/x") == "default-src 'self'"
    assert stated(app, "/x") == "default-src https://app.example"


def test_a_constant_policy_leaves_a_route_on_its_direct_way(app: RestApplication) -> None:
    app.get("/bare")(handler)
    app.get("/x")(app.csp(default_src=["self"])(lambda: {"a": 1}))
    app.get("/open")(app.cors(FRIEND)(lambda: {"a": 1}))
    app.get("/asked")(app.csp(default_src=lambda: ["self"])(lambda: {"a": 1}))
    bare, constant, crossing = (plan_of(app, path).direct for path in ("/bare", "/x", "/open"))

    assert bare is not None and constant is not None and crossing is not None
    assert constant.fields == bare.fields
    assert constant.head == ((b"content-security-policy", b"default-src 'self'"), *bare.head)
    assert crossing.fields == {*bare.fields, b"origin"}
    assert plan_of(app, "/asked").direct is None


def test_a_404_is_settled_with_a_constant_policy_and_with_no_other(app: RestApplication) -> None:
    constant, crossing, asked = Router(), Router(), Router()
    constant.csp(default_src=["self"])
    crossing.cors(FRIEND)
    asked.csp(default_src=["self"], script_src=["self"], nonce=True)
    app.mount("/constant", constant)
    app.mount("/crossing", crossing)
    app.mount("/asked", asked)

    settled = [plan_of(app, f"/{name}/x").settled for name in ("constant", "crossing", "asked")]

    assert settled == [{}, None, None]


def test_routers_at_one_prefix_leave_each_other_their_policies(app: RestApplication) -> None:
    shop, public, plain = Router(), Router(), Router()
    shop.cors(FRIEND, credentials=True)
    shop.csp(default_src=["self"])
    public.cors(OTHER)
    public.csp_provider(lambda request: CSPConfig(default_src=["*"]))
    shop.get("/basket")(handler)
    public.get("/news")(handler)
    plain.get("/plain")(handler)
    for router in (shop, public, plain):
        app.mount("/api", router)

    paths = ["/api/basket", "/api/news", "/api/plain"]

    assert [allowed(app, path) for path in paths] == [FRIEND, None, None]
    assert [allowed(app, path, OTHER) for path in paths] == [None, OTHER, None]
    assert [stated(app, path) for path in paths] == ["default-src 'self'", "default-src *", None]


@pytest.mark.parametrize("prefix", ["/", "/{tenant}"])
def test_a_router_mounted_over_a_route_of_the_application_leaves_it_alone(
    app: RestApplication, prefix: str
) -> None:
    over = Router()
    over.cors(OTHER)
    over.csp(default_src=["*"])
    over.get("/over")(handler)
    app.cors(FRIEND)
    app.csp(default_src=["none"])
    app.get("/admin/x")(handler)
    app.mount(prefix, over)

    for_routes = [allowed(app, "/admin/x", OTHER, method) for method in ("GET", "HEAD", "PUT")]

    assert for_routes == [None, None, None]
    assert stated(app, "/admin/x") == "default-src 'none'"
    assert allowed(app, "/admin/nope", OTHER) == OTHER


def test_routes_of_a_path_that_disagree_leave_other_methods_to_the_prefix(
    app: RestApplication,
) -> None:
    one, two = Router(), Router()
    one.cors(FRIEND)
    two.cors(OTHER)
    one.get("/x")(handler)
    two.put("/x")(handler)
    two.put("/y")(handler)
    app.mount("/api", two)
    app.mount("/api", one)

    disputed = [allowed(app, "/api/x", origin, "DELETE") for origin in (FRIEND, OTHER)]
    agreed = [allowed(app, "/api/y", origin, "DELETE") for origin in (FRIEND, OTHER)]

    assert (disputed, agreed) == ([FRIEND, None], [None, OTHER])


def test_a_router_mounted_twice_has_the_policy_of_each_place(app: RestApplication) -> None:
    one, two, shared = Router(), Router(), Router()
    one.cors(FRIEND)
    two.cors(OTHER)
    shared.get("/x")(handler)
    for prefix, router in {"/one": one, "/two": two}.items():
        router.mount("/", shared)
        app.mount(prefix, router)

    assert [allowed(app, path) for path in ("/one/x", "/two/x")] == [FRIEND, None]
    assert [allowed(app, path, OTHER) for path in ("/one/x", "/two/x")] == [None, OTHER]


def test_a_provider_sees_the_parameters_of_the_path_of_a_request_that_is_executed(
    app: RestApplication,
) -> None:
    @app.csp_provider
    def provide(request: Request) -> CSPConfig:
        return CSPConfig(img_src=[f"https://{request.path_params['tenant']}.example"])

    app.get("/of/{tenant}")(handler)

    later = asyncio.run(app.aexecute(Request("GET", "/of/them")))

    assert stated(app, "/of/us") == "img-src https://us.example"
    assert later.headers[CSP] == "img-src https://them.example"


@pytest.mark.parametrize(
    ("path", "config", "status"),
    [
        ("/bare", "default-src 'none'", 200),
        ("/asking", "default-src 'none'", 431),
        ("/own", "img-src 'self'", 200),
    ],
)
def test_a_provider_is_not_shown_header_fields_that_are_too_long(
    path: str, config: str, status: int
) -> None:
    app = RestApplication(blocking=False, max_headers=100)
    asked = []
    app.csp_provider(lambda request: asked.append(request))
    app.get("/bare")(handler)
    app.get("/asking")(lambda request: {"a": 1})
    app.get("/own")(app.csp(img_src=["self"])(lambda: {"a": 1}))
    fields = {"X-Long": "a" * 200}

    executed = app.execute(Request("GET", path, headers=fields))
    served = TestClient(app).request("GET", path, headers=fields)

    assert (executed.status_code, executed.headers[CSP]) == (status, config)
    assert (served.status, served.headers[CSP]) == (status, config)
    assert asked == []


def test_a_request_executed_again_keeps_no_nonce_of_before(app: RestApplication) -> None:
    fresh = RestApplication()
    fresh.csp(script_src=["self"], nonce=True)
    for each in (app, fresh):
        each.get("/x")(lambda request: {"has": hasattr(request, "csp_nonce")})
    request = Request("GET", "/x")

    answers = [fresh.execute(request), app.execute(request)]

    assert [json.loads(answer.body) for answer in answers] == [{"has": True}, {"has": False}]
