"""Injection by parameter name: order, sharing, conversion, and mistakes told in time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from restmachine import DependencyScope, Request, RestApplication
from restmachine.errors import (
    ConfigurationError,
    DependencyCycleError,
    UnknownDependencyError,
)

if TYPE_CHECKING:
    from somewhere import Database  # type: ignore[import-not-found]


def answer(app: RestApplication, path: str = "/x", **message: Any) -> Any:
    """Send a GET and return the content."""
    return app.execute(Request("GET", path, **message)).body


class TestOnePerRequest:
    @pytest.mark.parametrize("value", [None, False, 0, "", {}, "value"])
    def test_a_dependency_is_made_once(self, app: RestApplication, value: Any) -> None:
        made = []

        @app.dependency()
        def shared() -> Any:
            made.append(1)
            return value

        @app.dependency()
        def left(shared: Any) -> Any:
            return shared

        @app.dependency()
        async def right(shared: Any) -> Any:
            return shared

        @app.get("/x")
        def handler(left: Any, right: Any, shared: Any) -> list[Any]:
            return [left, right, shared]

        answer(app)
        answer(app)

        assert made == [1, 1]

    def test_what_nobody_asks_for_is_not_made(self, app: RestApplication) -> None:
        made = []
        app.dependency(lambda: made.append(1))
        app.dependency("unused")(lambda: made.append(2))
        app.get("/x")(lambda: {"a": 1})

        answer(app)

        assert made == []

    def test_what_comes_behind_a_refusal_is_not_made(self, app: RestApplication) -> None:
        made = []

        @app.resource_exists
        def absent() -> None:
            return None

        @app.dependency()
        def expensive() -> None:
            made.append(1)

        app.get("/x")(lambda expensive, absent: {})

        assert app.execute(Request("GET", "/x")).status_code == 404
        assert made == []

    def test_a_tuple_stays_a_tuple(self, app: RestApplication) -> None:
        app.dependency("pair")(lambda: (1, 201))
        app.get("/x")(lambda pair: {"sum": sum(pair)})

        assert answer(app) == b'{"sum":202}'


class TestLookup:
    def test_a_path_parameter_beats_a_dependency(self, app: RestApplication) -> None:
        app.dependency("name")(lambda: "dependency")
        app.get("/x/{name}")(lambda name: {"name": name})

        assert answer(app, "/x/path") == b'{"name":"path"}'

    def test_a_dependency_beats_a_name_of_the_framework(self, app: RestApplication) -> None:
        app.dependency("query_params")(lambda: "replaced")
        app.get("/x")(lambda query_params: {"is": query_params})

        assert answer(app) == b'{"is":"replaced"}'

    def test_the_request_is_found_by_annotation(self, app: RestApplication) -> None:
        @app.get("/x")
        def handler(whatever: Request) -> dict[str, str]:
            return {"path": whatever.path}

        assert answer(app) == b'{"path":"/x"}'

    def test_a_default_serves_where_nothing_provides(self, app: RestApplication) -> None:
        @app.get("/x")
        def handler(page: int = 7, *rest: Any, size: int = 9, **more: Any) -> list[int]:
            return [page, size]

        assert answer(app) == b"[7,9]"

    def test_a_dependency_serves_in_spite_of_a_default(self, app: RestApplication) -> None:
        app.dependency("page")(lambda: 1)

        @app.get("/x")
        def handler(first: int = 7, page: int = 7, *, last: int = 7) -> list[int]:
            return [first, page, last]

        assert answer(app) == b"[7,1,7]"

    @pytest.mark.parametrize("count", range(6))
    def test_any_number_of_parameters(self, app: RestApplication, count: int) -> None:
        names = [f"p{number}" for number in range(count)]
        for name in names:
            app.dependency(name)(lambda name=name: name)
        handler: Callable[..., Any] = eval(f"lambda {', '.join(names)}: [{', '.join(names)}]")
        app.get("/x")(handler)

        assert answer(app) == ("[" + ",".join(f'"{n}"' for n in names) + "]").encode()

    def test_registering_again_replaces(self, app: RestApplication) -> None:
        app.dependency("value")(lambda: "first")
        app.get("/x")(lambda value: [value])
        before = answer(app)

        app.dependency("value")(lambda: "second")

        assert (before, answer(app)) == (b'["first"]', b'["second"]')

    def test_objects_that_can_be_called_are_functions(self, app: RestApplication) -> None:
        class Counter:
            def __init__(self) -> None:
                self.count = 0

            def __call__(self, request: Request) -> int:
                self.count += 1
                return self.count

        app.dependency("count")(Counter())
        app.get("/x")(lambda count: [count])

        assert [answer(app), answer(app)] == [b"[1]", b"[2]"]

    def test_an_annotation_for_type_checkers_hides_no_other(self, app: RestApplication) -> None:
        app.dependency("database")(lambda: None)

        @app.get("/x/{number}")
        def handler(number: int, database: Database) -> list[int]:
            return [number + 1]

        assert answer(app, "/x/7") == b"[8]"


class TestConversion:
    @pytest.mark.parametrize(
        ("annotation", "segment", "value"),
        [
            (int, "7", 7),
            (int, "-0", 0),
            (float, "-1.50", -1.5),
            (UUID, "ABCDEF00-1111-2222-3333-444444444444",
                UUID("abcdef00-1111-2222-3333-444444444444")),
            (date, "2024-02-29", date(2024, 2, 29)),
            (str, "7", "7"),
            (bytes, "7", "7"),
        ],
    )  # fmt: skip
    def test_an_annotation_converts(
        self, app: RestApplication, annotation: Any, segment: str, value: Any
    ) -> None:
        seen = []

        def handler(item: Any) -> None:
            seen.append(item)

        handler.__annotations__["item"] = annotation
        app.get("/x/{item}")(handler)

        app.execute(Request("GET", f"/x/{segment}"))

        assert seen == [value]

    @pytest.mark.parametrize(
        ("annotation", "segment"),
        [
            (int, "x"), (int, "1.0"), (int, "+1"), (int, " 1"), (int, "1\n"), (int, "٣"),
            (float, "1e5"), (float, "inf"), (float, ".5"), (UUID, "{x}"), (UUID, "a" * 32),
            (date, "2023-02-29"), (date, "20240229"), (date, "2024-2-9"),
        ],
    )  # fmt: skip
    def test_what_does_not_convert_is_404(
        self, app: RestApplication, annotation: Any, segment: str
    ) -> None:
        def handler(item: Any) -> None:
            return None

        handler.__annotations__["item"] = annotation
        app.get("/x/{item}")(handler)

        assert app.execute(Request("GET", f"/x/{segment}")).status_code == 404

    def test_each_handler_sees_its_own_name(self, app: RestApplication) -> None:
        app.get("/x/{a}")(lambda a: {"a": a})
        app.put("/x/{b}")(lambda b: {"b": b})

        response = app.execute(Request("PUT", "/x/7"))

        assert response.body == b'{"b":"7"}'


class TestMistakes:
    def test_an_unknown_name_says_who_asks_and_what_is_near(self, app: RestApplication) -> None:
        app.dependency("database")(lambda: None)

        @app.get("/x")
        def handler(databas: Any) -> None:
            return None

        with pytest.raises(UnknownDependencyError) as caught:
            app.compiled  # noqa: B018 - compiles

        assert str(caught.value) == (
            'GET /x ("handler") asks for "databas", which nothing provides. '
            'Did you mean "database"?'
        )

    def test_an_unknown_name_deep_inside_is_found_too(self, app: RestApplication) -> None:
        app.dependency("one")(lambda two: None)
        app.dependency("two")(lambda three: None)
        app.get("/x")(lambda one: {})

        with pytest.raises(UnknownDependencyError, match='"two" asks for "three"'):
            app.compiled  # noqa: B018

    @pytest.mark.parametrize("names", ["aa", "aba", "abca"])
    def test_a_circle_is_drawn(self, app: RestApplication, names: str) -> None:
        for name, wanted in pairwise(names):
            app.dependency(name)(eval(f"lambda {wanted}: None"))
        app.get("/x")(lambda a: {})

        with pytest.raises(DependencyCycleError, match=" -> ".join(names)):
            app.compiled  # noqa: B018

    def test_a_scope_has_one_of_two_names(self, app: RestApplication) -> None:
        with pytest.raises(ConfigurationError, match="forever"):
            app.dependency(scope="forever")(lambda: None)

        assert {str(scope) for scope in DependencyScope} == {"request", "session"}


class TestOverrides:
    def test_they_hold_for_a_while(self, app: RestApplication) -> None:
        app.dependency("user")(lambda: "real")
        app.get("/x")(lambda user: [user])

        with app.dependency_overrides(user=lambda: "fake"):
            during = answer(app)

        assert (during, answer(app)) == (b'["fake"]', b'["real"]')

    def test_a_session_dependency_is_replaced_and_comes_back(self, app: RestApplication) -> None:
        made = []

        @app.dependency(scope="session")
        def pool() -> str:
            made.append(1)
            return "real"

        app.get("/x")(lambda pool: [pool])
        before = answer(app)

        with app.dependency_overrides(pool=lambda: "fake"):
            during = answer(app)

        assert (before, during, answer(app)) == (b'["real"]', b'["fake"]', b'["real"]')
        assert made == [1]

    def test_what_was_made_of_a_session_dependency_is_made_anew(self, app: RestApplication) -> None:
        app.dependency("pool", scope="session")(lambda: "real")
        app.dependency("client", scope="session")(lambda pool: f"client of {pool}")
        app.get("/x")(lambda client: [client])
        before = answer(app)

        with app.dependency_overrides(pool=lambda: "fake"):
            during = answer(app)

        assert (before, during) == (b'["client of real"]', b'["client of fake"]')
        assert answer(app) == before

    def test_only_what_is_there_can_be_overridden(self, app: RestApplication) -> None:
        with (
            pytest.raises(ConfigurationError, match='"usr" cannot be overridden'),
            app.dependency_overrides(usr=lambda: None),
        ):
            pass

    def test_they_end_with_an_error_too(self, app: RestApplication) -> None:
        app.dependency("user")(lambda: "real")
        app.get("/x")(lambda user: [user])

        with pytest.raises(KeyError), app.dependency_overrides(user=lambda: "fake"):
            raise KeyError

        assert answer(app) == b'["real"]'
