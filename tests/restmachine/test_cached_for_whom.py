"""For whom the server keeps responses: those with credentials and those behind a check."""

from __future__ import annotations

import pytest

from restmachine import ConfigurationError, Request, RestApplication
from restmachine.decorators import cache_response, skip_auth_check

from .keeping import Counting, Serve, kept


@pytest.mark.parametrize("field", ["Authorization", "Cookie"])
def test_request_with_credentials_goes_past_what_is_kept(
    app: RestApplication, serve: Serve, field: str
) -> None:
    counting = kept(app)
    client = serve(app)
    credentials = {field: "a=b"}

    answers = [
        client.get("/x", headers=credentials).json()["call"],
        client.get("/x").json()["call"],
        client.get("/x", headers=credentials).json()["call"],
        client.get("/x").json()["call"],
    ]

    assert answers == [1, 2, 3, 2]
    assert counting.calls == 3


@pytest.mark.parametrize("field", ["Authorization", "Cookie"])
def test_request_with_credentials_gets_what_is_public(
    app: RestApplication, serve: Serve, field: str
) -> None:
    counting = kept(app, public=True)
    client = serve(app)

    client.get("/x", headers={field: "a=b"})
    client.get("/x")

    assert counting.calls == 1


@pytest.mark.parametrize("kind", ["authorized", "forbidden"])
def test_protected_route_keeps_nothing_unless_it_is_public(app: RestApplication, kind: str) -> None:
    getattr(app, f"default_{kind}")(lambda: kind == "authorized")
    kept(app)

    with pytest.raises(ConfigurationError, match=r"GET /x says .* Add public=True"):
        app.execute(Request("GET", "/x"))


def test_route_that_skips_the_check_may_keep_its_answers(app: RestApplication) -> None:
    app.default_authorized(lambda: False)
    counting = Counting()
    handler = skip_auth_check(cache_response(max_age=60, server=True)(lambda: counting.answer()))
    app.get("/x")(handler)

    statuses = [app.execute(Request("GET", "/x")).status_code for _ in range(2)]

    assert statuses == [200, 200]
    assert counting.calls == 1
    app.shutdown_sync()


def test_authorization_is_asked_for_every_request(app: RestApplication, serve: Serve) -> None:
    asked: list[str | None] = []

    @app.default_authorized
    def authorized(request: Request) -> bool:
        asked.append(request.headers.get("Authorization"))
        return asked[-1] == "Bearer good"

    counting = kept(app, public=True)
    client = serve(app)
    fields: list[dict[str, str]] = [
        {"Authorization": "Bearer good"},
        {},
        {"Authorization": "Bearer bad"},
        {"Authorization": "Bearer good"},
    ]

    statuses = [client.get("/x", headers=each).status for each in fields]

    assert statuses == [200, 401, 401, 200]
    assert asked == ["Bearer good", None, "Bearer bad", "Bearer good"]
    assert counting.calls == 1
