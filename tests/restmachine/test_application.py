"""Declaring an application, and executing requests directly."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from restmachine import (
    ConfigurationError,
    ConfigurationWarning,
    HTTPMethod,
    Request,
    RestApplication,
)
from restmachine.decorators import skip_auth_check


class TestRoutes:
    def test_decorators_return_the_function_and_stack(self, app: RestApplication) -> None:
        def handler() -> dict[str, int]:
            return {"a": 1}

        stacked = app.get("/one")(app.post("/two")(handler))

        assert stacked is handler
        assert [str(route) for route in app.routes] == ["POST /two", "GET /one"]

    @pytest.mark.parametrize("method", ["GET", "get", HTTPMethod.GET])
    def test_a_method_is_given_as_text_or_member(self, app: RestApplication, method: Any) -> None:
        app.route(method, "/x")(lambda: {"a": 1})

        assert app.execute(Request("GET", "/x")).status_code == 200

    def test_a_method_that_is_none_is_refused(self, app: RestApplication) -> None:
        with pytest.raises(ConfigurationError, match="'BREW' is not an HTTP method"):
            app.route("BREW", "/x")

    def test_a_second_handler_replaces_the_first_with_a_warning(self, app: RestApplication) -> None:
        app.get("/x")(lambda: "first")

        with pytest.warns(ConfigurationWarning, match="GET /x replaces the first"):
            app.get("/x/")(lambda: "second")

        assert app.execute(Request("GET", "/x")).body == b"second"

    def test_a_route_added_later_is_found(self, app: RestApplication) -> None:
        before = app.execute(Request("GET", "/x")).status_code

        app.get("/x")(lambda: {"a": 1})

        assert (before, app.execute(Request("GET", "/x")).status_code) == (404, 200)

    def test_the_methods_of_the_application(self, app: RestApplication) -> None:
        for name in ("get", "head", "post", "put", "patch", "delete", "options"):
            getattr(app, name)("/x")(lambda name=name: (None, 200, {"X-Method": name}))

        found = {
            str(method): app.execute(Request(method, "/x")).headers["X-Method"]
            for method in HTTPMethod
        }

        assert found == {str(method): str(method).lower() for method in HTTPMethod}


class TestChecks:
    @pytest.mark.parametrize("kind", ["authorized", "forbidden"])
    def test_a_check_that_no_route_reaches_is_warned_of(
        self, app: RestApplication, kind: str
    ) -> None:
        def idle() -> bool:
            return False

        getattr(app, kind)(idle)
        app.get("/x")(lambda: {"a": 1})

        with pytest.warns(ConfigurationWarning, match=f'{kind} function "idle", so it protects'):
            app.execute(Request("GET", "/x"))

    def test_a_check_that_a_dependency_reaches_protects(self, app: RestApplication) -> None:
        @app.authorized
        def user(request_headers: Any) -> str | None:
            return request_headers.get("Authorization")

        app.dependency("profile")(lambda user: {"of": user})
        app.get("/x")(lambda profile: profile)

        refused = app.execute(Request("GET", "/x"))
        passed = app.execute(Request("GET", "/x", {"Authorization": "me"}))

        assert (refused.status_code, passed.body) == (401, b'{"of":"me"}')

    @pytest.mark.parametrize(
        ("value", "status"), [(None, 403), (True, 403), (False, 200), ({"role": "x"}, 200)]
    )
    def test_what_forbids(self, app: RestApplication, value: Any, status: int) -> None:
        app.forbidden(lambda_named("role", value))
        app.get("/x")(lambda role: {"role": str(role)})

        assert app.execute(Request("GET", "/x")).status_code == status

    @pytest.mark.parametrize(("value", "status"), [(None, 404), (False, 200), ({}, 200)])
    def test_what_is_absent(self, app: RestApplication, value: Any, status: int) -> None:
        app.resource_exists(lambda_named("item", value))
        app.get("/x")(lambda item: {"item": item})

        assert app.execute(Request("GET", "/x")).status_code == status

    @pytest.mark.parametrize("kind", ["authorized", "forbidden", "resource_exists"])
    def test_a_bug_in_a_callback_is_500(
        self, app: RestApplication, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken() -> None:
            raise LookupError("secret")

        getattr(app, kind)(broken)
        app.get("/x")(lambda broken: {})

        response = app.execute(Request("GET", "/x"))

        assert (response.status_code, response.body) == (500, b'{"error":"Internal Server Error"}')
        assert "secret" in caplog.text

    def test_all_checks_of_a_kind_must_pass(self, app: RestApplication) -> None:
        app.authorized(lambda_named("one", True))
        app.authorized(lambda_named("two", False))
        app.get("/x")(lambda one, two: {})

        assert app.execute(Request("GET", "/x")).status_code == 401

    def test_a_route_may_skip_the_checks(self, app: RestApplication) -> None:
        app.authorized(lambda_named("user", None))
        app.default_forbidden(lambda: True)

        @app.get("/x")
        @skip_auth_check
        def handler(user: None) -> dict[str, None]:
            return {"user": user}

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConfigurationWarning)
            response = app.execute(Request("GET", "/x"))

        assert response.body == b'{"user":null}'

    def test_a_validator_applies_where_all_that_it_takes_is_reached(
        self, app: RestApplication
    ) -> None:
        app.resource_exists(lambda_named("item", {"version": 1}))
        app.dependency("other")(lambda: 2)

        @app.generate_etag
        def tag(item: dict[str, int], other: int) -> str:
            return f"{item['version']}-{other}"

        app.get("/one")(lambda item: item)
        app.get("/both")(lambda item, other: item)

        tags = [app.execute(Request("GET", path)).etag for path in ("/one", "/both")]

        assert tags == [None, "1-2"]

    @pytest.mark.parametrize("kind", ["generate_etag", "resource_exists", "moved_permanently"])
    def test_one_that_asks_for_what_no_route_has_is_found_when_the_application_is_built(
        self, app: RestApplication, kind: str
    ) -> None:
        @app.dependency()
        def item(item_id: str) -> dict[str, str]:
            return {"id": item_id}

        @getattr(app, kind)
        def judge(itm: Any) -> str:
            return "1"

        app.get("/items/{item_id}")(lambda item: item)

        with pytest.raises(ConfigurationError, match=r'"judge" asks for "itm", .* mean "item"'):
            asyncio.run(app.startup())

    def test_the_order_of_registration_does_not_matter(self, app: RestApplication) -> None:
        app.get("/x")(lambda item: {"item": item})
        app.resource_exists(lambda_named("item", None))

        assert app.execute(Request("GET", "/x")).status_code == 404


def lambda_named(name: str, value: Any) -> Any:
    """Return a function of this name that returns a value."""

    def function() -> Any:
        return value

    function.__name__ = name
    return function


class TestExecution:
    def test_a_running_loop_must_await(self, app: RestApplication) -> None:
        @app.get("/x")
        async def handler() -> dict[str, int]:
            return {"a": 1}

        async def run() -> tuple[int, int]:
            awaited = await app.aexecute(Request("GET", "/x"))
            return awaited.status_code, app.execute(Request("GET", "/x")).status_code

        assert asyncio.run(run()) == (200, 200)

    def test_on_the_loop_of_the_application_waiting_is_refused(self) -> None:
        app = RestApplication()

        @app.get("/x")
        async def handler() -> dict[str, int]:
            return {"a": 1}

        async def run() -> int:
            await app.startup()
            status = app.execute(Request("GET", "/x")).status_code
            await app.shutdown()
            return status

        assert asyncio.run(run()) == 500

    def test_path_parameters_reach_the_request(self, app: RestApplication) -> None:
        app.get("/x/{id}")(lambda request: request.path_params)

        assert app.execute(Request("GET", "/x/7")).body == b'{"id":"7"}'

    def test_content_is_limited_without_a_stated_length(self) -> None:
        app = RestApplication(max_content=3)
        app.post("/x")(lambda body: {"got": body})

        statuses = [
            app.execute(Request("POST", "/x", body=body)).status_code for body in ("123", "1234")
        ]

        assert statuses == [200, 413]

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            pytest.param(lambda: Request("GET", "/" + "x" * 99), 404, id="short enough"),
            pytest.param(lambda: Request("GET", "/" + "x" * 100), 414, id="a long path"),
            pytest.param(lambda: Request("GET", "/" + "ä" * 20), 414, id="long when encoded"),
            pytest.param(
                lambda: Request("GET", "/", query_params={"a": "x" * 98}), 414, id="query"
            ),
            pytest.param(lambda: Request("GET", "/", {"X": "x" * 199}), 200, id="all that fits"),
            pytest.param(lambda: Request("GET", "/", {"X": "x" * 200}), 431, id="a long field"),
            pytest.param(
                lambda: Request("GET", "/", {"X": ["x" * 100, "x" * 99]}), 431, id="one repeated"
            ),
            pytest.param(lambda: Request("GET", "/", {"Accept": "a," * 101}), 431, id="a list"),
        ],
    )
    def test_b11_the_limits_of_a_server_hold_for_direct_requests_too(
        self, request_: Callable[[], Request], status: int
    ) -> None:
        app = RestApplication(max_uri=100, max_headers=200)
        app.get("/")(lambda request_headers: dict(request_headers))

        direct = app.execute(request_()).status_code
        awaited = asyncio.run(app.aexecute(request_())).status_code

        assert (direct, awaited) == (status, status)

    def test_many_threads_may_compile_and_execute_at_once(self, app: RestApplication) -> None:
        app.dependency("own")(lambda request: request.path_params["id"])

        @app.get("/x/{id}")
        async def handler(own: str) -> dict[str, str]:
            return {"own": own}

        def run(number: int) -> Any:
            return app.execute(Request("GET", f"/x/{number}")).body

        with ThreadPoolExecutor(8) as threads:
            bodies = list(threads.map(run, range(300)))

        assert bodies == [b'{"own":"%d"}' % number for number in range(300)]

    def test_no_garbage_is_looked_for_among_what_was_just_compiled(
        self, app: RestApplication
    ) -> None:
        app.get("/x")(lambda: {"a": 1})

        compiled = app.compiled

        assert gc.isenabled()
        assert any(each is compiled for each in gc.get_objects(generation=2))

    def test_compiling_leaves_what_somebody_froze_frozen(self, app: RestApplication) -> None:
        app.get("/x")(lambda: {"a": 1})

        gc.freeze()
        try:
            _ = app.compiled
            left = gc.get_freeze_count()
        finally:
            gc.unfreeze()

        assert left > 0

    def test_compiling_leaves_collections_off_where_they_were(self, app: RestApplication) -> None:
        app.get("/x")(lambda: {"a": 1})

        gc.disable()
        try:
            _ = app.compiled
            was_enabled = gc.isenabled()
        finally:
            gc.enable()

        assert not was_enabled

    def test_head_of_direct_execution_has_no_content(self, app: RestApplication) -> None:
        app.get("/x")(lambda: {"a": 1})

        response = app.execute(Request("HEAD", "/x"))

        assert (response.body, response.headers["Content-Length"]) == (None, "7")


@pytest.mark.parametrize("role", ["handler", "dependency"])
def test_a_function_without_signature_is_named_with_what_to_do(role: str) -> None:
    app = RestApplication()

    with pytest.raises(ConfigurationError, match=r"<class 'dict'> has no signature.*wrap it"):
        if role == "dependency":
            app.dependency("data")(dict)
        app.get("/")(dict)
        _ = app.compiled
