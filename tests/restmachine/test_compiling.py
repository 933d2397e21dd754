"""A plan settles what its route settles, and shares its steps with routes that differ in none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from restmachine import Request, RestApplication
from restmachine.decisions import DIAGRAM, Effect
from restmachine.decorators import skip_auth_check, skip_content_negotiation
from restmachine.dependencies import NOTHING
from restmachine.errors import UnprotectedRouteError


def nothing() -> dict[str, int]:
    """Handle a request whose answer does not matter."""
    return {}


class TestSettling:
    """Decisions which the route settles leave no step behind."""

    def test_a_bare_get_asks_only_for_header_fields(self, app: RestApplication) -> None:
        @app.get("/x")
        def handler() -> dict[str, int]:
            return {}

        plan, _ = app.dispatch("GET", "/x")

        assert {step.id for step in plan.steps()} == {
            "C3", "C4", "G8", "G9", "G11", "I12", "I13", "produce", "O20",
        }  # fmt: skip

    def test_a_path_without_route_is_settled_whole(self, app: RestApplication) -> None:
        plan, _ = app.dispatch("GET", "/nowhere")

        assert plan.first == 404

    @pytest.mark.parametrize(("method", "status"), [("PUT", 405), ("BREW", 501), ("OPTIONS", 204)])
    def test_a_method_without_handler_is_settled_whole(
        self, app: RestApplication, method: str, status: int
    ) -> None:
        app.get("/x")(nothing)

        plan, _ = app.dispatch(method, "/x")

        assert plan.first == status

    def test_plans_of_unknown_methods_are_not_kept(self, app: RestApplication) -> None:
        app.get("/x")(nothing)

        first, _ = app.dispatch("BREW", "/x")
        second, _ = app.dispatch("BREW", "/x")

        assert first is not second

    def test_plans_of_known_methods_are_made_once(self, app: RestApplication) -> None:
        app.get("/x")(nothing)

        assert app.dispatch("HEAD", "/x")[0] is app.dispatch("HEAD", "/x")[0]


class TestFieldGuards:
    """One look at the fields leads a request without any of them past all that look for one."""

    @pytest.mark.parametrize("fields", [{}, {"X-Other": "1"}, {"If-None-Match": '"v2"'}])
    def test_the_guard_changes_no_answer(
        self, app: RestApplication, fields: dict[str, str]
    ) -> None:
        @app.generate_etag
        def tag() -> str:
            return "v1"

        @app.get("/x")
        def handler(tag: str) -> dict[str, str]:
            return {"tag": tag}

        response = app.execute(Request("GET", "/x", fields))

        assert response.status_code == 200

    def test_a_field_behind_the_guard_is_still_looked_at(self, app: RestApplication) -> None:
        @app.generate_etag
        def tag() -> str:
            return "v1"

        @app.get("/x")
        def handler(tag: str) -> dict[str, str]:
            return {"tag": tag}

        response = app.execute(Request("GET", "/x", {"If-None-Match": '"v1"'}))

        assert response.status_code == 304


class TestBypass:
    def test_no_decision_is_asked(self, app: RestApplication) -> None:
        app.default_service_available(lambda: False)
        app.get("/x", bypass_state_machine=True)(lambda: ({"a": 1}, 203))

        response = app.execute(Request("GET", "/x", {"Accept": "image/png", "If-Match": '"v"'}))

        assert response.status_code == 203

    def test_no_validator_is_stated(self, app: RestApplication) -> None:
        @app.generate_etag
        def tag() -> str:
            return "v1"

        @app.get("/x", bypass_state_machine=True)
        @skip_auth_check
        def handler(tag: str) -> dict[str, str]:
            return {"tag": tag}

        response = app.execute(Request("GET", "/x"))

        assert response.etag is None

    @pytest.mark.parametrize("kind", ["authorized", "forbidden"])
    def test_it_is_refused_where_it_would_skip_a_check_of_its_own(
        self, app: RestApplication, kind: str
    ) -> None:
        def check() -> bool:
            return False

        getattr(app, kind)(check)
        app.get("/x", bypass_state_machine=True)(lambda check: {})

        with pytest.raises(UnprotectedRouteError, match=r'GET /x bypasses.*"check"'):
            app.execute(Request("GET", "/x"))

    @pytest.mark.parametrize("kind", ["default_authorized", "default_forbidden"])
    def test_it_is_refused_where_it_would_skip_a_check_of_the_application(
        self, app: RestApplication, kind: str
    ) -> None:
        getattr(app, kind)(lambda: False)
        app.get("/x", bypass_state_machine=True)(nothing)

        with pytest.raises(UnprotectedRouteError):
            app.execute(Request("GET", "/x"))

    def test_it_is_granted_to_a_route_that_says_so(self, app: RestApplication) -> None:
        app.default_authorized(lambda: False)
        app.get("/x", bypass_state_machine=True)(skip_auth_check(nothing))

        response = app.execute(Request("GET", "/x"))

        assert response.status_code == 200


class TestSharing:
    def test_routes_without_callbacks_share_their_steps_and_answer_for_themselves(
        self, app: RestApplication
    ) -> None:
        @app.get("/one")
        async def one() -> dict[str, int]:
            return {"a": 1}

        @app.get("/two/{name}")
        async def two(name: str) -> tuple[dict[str, str], int]:
            return {"a": name}, 203

        plans = [app.dispatch("GET", path)[0] for path in ("/one", "/two/x")]
        answers = [app.execute(Request("GET", path)) for path in ("/one", "/two/x")]

        assert plans[0].first is plans[1].first
        assert [answer.body for answer in answers] == [b'{"a":1}', b'{"a":"x"}']
        assert [answer.status_code for answer in answers] == [200, 203]

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(lambda app: app.post("/other")(lambda: nothing()), id="another method"),
            pytest.param(
                lambda app: app.get("/other", languages=["en"])(lambda: nothing()), id="an option"
            ),
            pytest.param(
                lambda app: app.get("/other", bypass_state_machine=True)(lambda: nothing()),
                id="a bypass",
            ),
            pytest.param(
                lambda app: app.get("/other", blocking=False)(lambda: nothing()), id="no thread"
            ),
            pytest.param(lambda app: app.get("/other")(lambda body: nothing()), id="content"),
        ],
    )
    def test_routes_that_differ_share_no_steps(
        self, app: RestApplication, other: Callable[[RestApplication], Any]
    ) -> None:
        app.get("/one")(lambda: nothing())
        other(app)

        one = app.dispatch("GET", "/one")[0]
        another = next(plan for plan in app.compiled.static["/other"].values())

        assert not {id(step) for step in one.steps()} & {id(step) for step in another.steps()}

    def test_a_bypass_shares_no_steps_with_a_route_that_only_skips_negotiation(
        self, app: RestApplication
    ) -> None:
        app.get("/one", bypass_state_machine=True)(lambda: nothing())
        app.get("/two")(skip_content_negotiation(lambda: nothing()))

        one, two = (app.dispatch("GET", path)[0] for path in ("/one", "/two"))

        assert not {id(step) for step in one.steps()} & {id(step) for step in two.steps()}

    def test_a_route_that_asks_a_callback_has_steps_of_its_own(self, app: RestApplication) -> None:
        app.default_authorized(lambda: True)
        app.get("/one")(lambda: nothing())
        app.get("/two")(lambda: nothing())

        one, two = (app.dispatch("GET", path)[0] for path in ("/one", "/two"))

        assert not {id(step) for step in one.steps()} & {id(step) for step in two.steps()}

    def test_no_question_prepares_anything_of_a_route_without_callbacks(
        self, app: RestApplication
    ) -> None:
        app.get("/one")(lambda: nothing())
        plan = app.dispatch("GET", "/one")[0]

        questions = [row.question for row in DIAGRAM.values() if not isinstance(row, Effect)]

        assert {question.before(plan) for question in questions} == {NOTHING}
        assert {question.turns(plan) for question in questions} == {()}
