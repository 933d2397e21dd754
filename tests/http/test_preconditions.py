"""Conditional requests (RFC 9110 section 13)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from restmachine import Response, RestApplication
from restmachine.decorators import cache_response
from restmachine.testing import TestClient

CHANGED = datetime(2024, 5, 1, 12, 0, 0, 999_999, tzinfo=UTC)
AT = "Wed, 01 May 2024 12:00:00 GMT"
BEFORE = "Wed, 01 May 2024 11:59:59 GMT"
AFTER = "Wed, 01 May 2024 12:00:01 GMT"
FUTURE = "Fri, 01 Jan 2100 00:00:00 GMT"


def application() -> RestApplication:
    """Return resources with a strong tag, a weak one, a date, both, neither, and none at all."""
    app = RestApplication()

    @app.generate_etag
    async def strong() -> str:
        return "v1"

    @app.generate_etag
    def weak() -> str:
        return 'W/"v1"'

    @app.generate_etag
    def untagged() -> None:
        return None

    @app.last_modified
    def dated() -> datetime:
        return CHANGED

    @app.last_modified
    async def undated() -> None:
        return None

    @app.resource_exists
    def nothing() -> None:
        return None

    @app.dependency()
    def both(strong: str, dated: datetime) -> None:
        """Reach two validators."""

    @app.dependency()
    def neither(untagged: None, undated: None) -> None:
        """Reach two validators that know nothing."""

    def declare(path: str, handler: Any) -> None:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            app.route(method, path)(handler)

    declare("/strong", lambda strong: {"ran": True})
    declare("/weak", lambda weak: {"ran": True})
    declare("/dated", lambda dated: {"ran": True})
    declare("/both", lambda both: {"ran": True})
    declare("/neither", lambda neither: {"ran": True})
    declare("/bare", lambda: {"ran": True})
    declare("/absent", lambda nothing: {"ran": True})
    declare("/tagging", lambda: Response(200, {"ran": True}, {"ETag": '"v1"'}))
    declare("/dating", lambda: ({"ran": True}, 200, {"Last-Modified": AT}))
    declare("/moved", lambda: ({"ran": True}, 404, {"ETag": '"v1"'}))
    declare("/streaming", lambda: iter(["ran"]))
    app.put("/new", creates=True)(lambda nothing: {"ran": True})

    @app.get("/cached")
    @cache_response(max_age=60)
    def cached(both: None) -> dict[str, bool]:
        return {"ran": True}

    return app


def match(tags: str, **more: str) -> dict[str, str]:
    """Return If-Match and perhaps more fields."""
    return {"If-Match": tags, **{name.replace("_", "-"): value for name, value in more.items()}}


def none_match(tags: str, **more: str) -> dict[str, str]:
    """Return If-None-Match and perhaps more fields."""
    return {
        "If-None-Match": tags,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


def unmodified(date: str) -> dict[str, str]:
    """Return If-Unmodified-Since."""
    return {"If-Unmodified-Since": date}


def modified(date: str) -> dict[str, str]:
    """Return If-Modified-Since."""
    return {"If-Modified-Since": date}


# fmt: off
CASES = [
    ("13.1.1-G8-G11-the-tag", "PUT /strong", match('"v1"'), 200),
    ("13.1.1-G11-another-tag", "PUT /strong", match('"v2"'), 412),
    ("13.1.1-G11-in-a-list", "PUT /strong", match('"a", "v1" , "b"'), 200),
    ("13.1.1-G11-in-a-list-with-empty-members", "PUT /strong", match(', ,"v1",'), 200),
    ("13.1.1-G11-a-weak-tag-never-matches", "PUT /strong", match('W/"v1"'), 412),
    ("13.1.1-G11-nor-a-weak-one-on-this-side", "PUT /weak", match('"v1"'), 412),
    ("13.1.1-G11-nor-two-weak-ones", "PUT /weak", match('W/"v1"'), 412),
    ("13.1.1-G11-any-without-a-tag", "PUT /bare", match('"v1"'), 412),
    ("13.1.1-G11-none-known", "PUT /neither", match('"v1"'), 412),
    ("13.1.1-G9-star-of-what-exists", "PUT /strong", match("*"), 200),
    ("13.1.1-G9-star-without-a-tag", "PUT /bare", match("*"), 200),
    ("13.1.1-G9-star-of-a-dated-resource", "DELETE /dated", match("*"), 200),
    ("13.1.1-G11-a-comma-in-a-tag", "PUT /strong", match('"a,v1"'), 412),
    ("13.1.1-G11-tags-have-case", "PUT /strong", match('"V1"'), 412),
    ("13.1.1-G11-no-tag-at-all", "PUT /strong", match("nonsense"), 412),
    ("13.1.1-G11-get-as-well", "GET /strong", match('"v2"'), 412),
    ("13.1.1-G11-delete", "DELETE /strong", match('"v2"'), 412),
    ("13.1.1-G11-patch", "PATCH /strong", match('"v1"'), 200),
    ("13.1.1-G11-post", "POST /strong", match('"v2"'), 412),
    ("13.1.1-G11-get-of-what-has-no-tag", "GET /bare", match('"v1"'), 412),
    ("13.1.1-G11-get-of-a-tag-that-is-not-known", "GET /neither", match('"v1"'), 412),
    ("13.1.1-G11-get-of-the-tag-the-handler-states", "GET /tagging", match('"v1"'), 200),
    ("13.1.1-G11-get-of-another-tag-than-it-states", "GET /tagging", match('"v2"'), 412),
    ("13.1.1-G11-head-of-another-tag-than-it-states", "HEAD /tagging", match('"v2"'), 412),
    ("13.1.1-G11-put-does-not-wait-for-the-handler", "PUT /tagging", match('"v1"'), 412),
    ("13.1.1-G11-get-of-a-stream", "GET /streaming", match('"v1"'), 412, {"ETag": None}),
    ("13.2.1-G11-only-what-would-succeed-is-judged", "GET /moved", match('"v2"'), 404),
    ("13.1.1-G7-absent-comes-first", "GET /absent", match("*"), 404),
    ("13.1.1-H7-star-of-what-is-absent", "PUT /new", match("*"), 412),

    ("13.1.2-I12-K13-the-tag", "GET /strong", none_match('"v1"'), 304, {"ETag": '"v1"'}),
    ("13.1.2-K13-head", "HEAD /strong", none_match('"v1"'), 304, {"ETag": '"v1"'}),
    ("13.1.2-K13-another-tag", "GET /strong", none_match('"v2"'), 200, {"ETag": '"v1"'}),
    ("13.1.2-K13-in-a-list", "GET /strong", none_match('"a", W/"b", "v1"'), 304),
    ("13.1.2-K13-weakly-against-a-strong-one", "GET /strong", none_match('W/"v1"'), 304),
    ("13.1.2-K13-strongly-against-a-weak-one", "GET /weak", none_match('"v1"'), 304,
        {"ETag": 'W/"v1"'}),
    ("13.1.2-K13-weakly-against-a-weak-one", "GET /weak", none_match('W/"v1"'), 304),
    ("13.1.2-I13-J18-star", "GET /strong", none_match("*"), 304, {"ETag": '"v1"'}),
    ("13.1.2-I13-star-without-a-tag", "GET /bare", none_match("*"), 304, {"ETag": None}),
    ("13.1.2-I13-star-of-a-stream", "GET /streaming", none_match("*"), 304,
        {"Content-Type": None}),
    ("13.1.2-I13-star-of-what-the-handler-does-not-find", "GET /moved", none_match("*"), 404),
    ("13.1.2-K13-the-tag-the-handler-states", "GET /tagging", none_match('"v1"'), 304,
        {"ETag": '"v1"', "Content-Type": None}),
    ("13.1.2-K13-another-than-it-states", "GET /tagging", none_match('"v2"'), 200),
    ("13.1.2-I13-star-beside-the-tag-it-states", "GET /tagging", none_match("*"), 304,
        {"ETag": '"v1"'}),
    ("13.1.2-K13-post-is-not-judged-afterwards", "POST /tagging", none_match('"v1"'), 200),
    ("13.1.3-L17-the-date-the-handler-states", "GET /dating", modified(AT), 304,
        {"Last-Modified": AT}),
    ("13.1.3-L17-an-earlier-date-than-it-states", "GET /dating", modified(BEFORE), 200),
    ("13.1.4-H12-an-earlier-date-than-it-states", "GET /dating", unmodified(BEFORE), 412),
    ("13.1.2-J18-other-methods-fail", "PUT /strong", none_match('"v1"'), 412),
    ("13.1.2-J18-delete-fails", "DELETE /strong", none_match("*"), 412),
    ("13.1.2-J18-post-fails", "POST /bare", none_match("*"), 412),
    ("13.1.2-K13-other-methods-pass-with-another-tag", "PUT /strong", none_match('"v2"'), 200),
    ("13.1.2-K13-no-tag-known", "GET /neither", none_match('"v1"'), 200),
    ("13.1.2-I13-star-protects-a-creation", "PUT /new", none_match("*"), 201),
    ("13.1.2-I13-star-and-an-absent-resource", "GET /absent", none_match("*"), 404),
    ("13.1.2-K13-no-tag-at-all", "GET /strong", none_match("nonsense"), 200),

    ("13.1.3-L13-L17-unchanged", "GET /dated", modified(AT), 304, {"Last-Modified": AT}),
    ("13.1.3-L17-unchanged-later", "GET /dated", modified(AFTER), 304),
    ("13.1.3-L17-changed", "GET /dated", modified(BEFORE), 200, {"Last-Modified": AT}),
    ("13.1.3-L17-head", "HEAD /dated", modified(AT), 304),
    ("13.1.3-L17-no-date-known", "GET /neither", modified(AT), 200),
    ("13.1.3-L13-no-date-declared", "GET /strong", modified(AT), 200),
    ("13.1.3-L13-only-for-get-and-head", "PUT /dated", modified(AT), 200),
    ("13.1.3-L13-not-for-delete", "DELETE /dated", modified(FUTURE), 200),
    ("13.1.3-L14-no-date", "GET /dated", modified("yesterday"), 200),
    ("13.1.3-L14-a-date-of-another-zone", "GET /dated",
        modified("Wed, 01 May 2024 12:00:00 CET"), 200),
    ("13.1.3-L15-a-date-to-come", "GET /dated", modified(FUTURE), 200),
    ("5.6.7-L14-rfc-850-date", "GET /dated", modified("Wednesday, 01-May-24 12:00:00 GMT"), 304),
    ("5.6.7-L14-asctime-date", "GET /dated", modified("Wed May  1 12:00:00 2024"), 304),
    ("13.1.3-K13-a-tag-puts-the-date-aside", "GET /both",
        none_match('"v2"', If_Modified_Since=AT), 200),
    ("13.1.3-K13-even-without-a-tag-known", "GET /dated",
        none_match('"v2"', If_Modified_Since=AT), 200),
    ("13.1.3-K13-the-tag-alone-decides", "GET /both",
        none_match('"v1"', If_Modified_Since=BEFORE), 304),

    ("13.1.4-H10-H12-unchanged", "PUT /dated", unmodified(AT), 200),
    ("13.1.4-H12-unchanged-later", "PUT /dated", unmodified(AFTER), 200),
    ("13.1.4-H12-changed", "PUT /dated", unmodified(BEFORE), 412),
    ("13.1.4-H12-get-as-well", "GET /dated", unmodified(BEFORE), 412),
    ("13.1.4-H11-no-date", "PUT /dated", unmodified("yesterday"), 200),
    ("13.1.4-H11-no-date-known", "PUT /neither", unmodified(BEFORE), 200),
    ("13.1.4-H10-no-date-declared", "PUT /strong", unmodified(BEFORE), 200),
    ("13.1.4-G9-if-match-puts-the-date-aside", "PUT /both",
        match('"v1"', If_Unmodified_Since=BEFORE), 200),
    ("13.1.4-G9-star-puts-the-date-aside", "PUT /both",
        match("*", If_Unmodified_Since=BEFORE), 200),
    ("13.2.2-G11-the-tag-alone-fails", "PUT /both",
        match('"v2"', If_Unmodified_Since=AFTER), 412),

    ("13.2.2-I12-comes-after-G11", "GET /strong", match('"v1"', If_None_Match='"v1"'), 304),
    ("13.2.2-G11-comes-before-I12", "GET /strong", match('"v2"', If_None_Match='"v1"'), 412),
    ("13.2.2-H12-comes-before-L17", "GET /dated",
        {**unmodified(BEFORE), **modified(AT)}, 412),
    ("13.2.2-L17-comes-after-H12", "GET /dated", {**unmodified(AT), **modified(AT)}, 304),
    ("13.2.1-C4-not-acceptable-comes-first", "GET /strong",
        none_match('"v1"', Accept="image/png"), 406),
    ("13.2.1-B10-not-allowed-comes-first", "PUT /cached", match('"v2"'), 405),

    ("15.4.5-304-states-both-validators", "GET /both", none_match('"v1"'), 304,
        {"ETag": '"v1"', "Last-Modified": AT}),
    ("15.4.5-304-states-both-by-date", "GET /both", modified(AT), 304,
        {"ETag": '"v1"', "Last-Modified": AT}),
    ("15.4.5-304-states-cache-control-and-vary", "GET /cached", none_match('"v1"'), 304,
        {"Cache-Control": "max-age=60", "Vary": "Accept"}),
    ("15.4.5-304-describes-no-content", "GET /both", none_match('"v1"'), 304,
        {"Content-Type": None, "Content-Length": None}),
    ("8.8-get-states-validators", "GET /both", {}, 200, {"ETag": '"v1"', "Last-Modified": AT}),
    ("8.8-head-states-validators", "HEAD /both", {}, 200, {"ETag": '"v1"', "Last-Modified": AT}),
    ("8.8.3-a-put-states-no-old-tag", "PUT /both", {}, 200, {"ETag": None, "Last-Modified": None}),
    ("8.8-412-states-no-validator", "GET /both", match('"v2"'), 412, {"ETag": None}),
]
# fmt: on


def test_precondition(case: Any, client: TestClient) -> None:
    response = case.ask(client)

    assert response.status == case.status
    assert case.differences(response) == {}


@pytest.mark.parametrize("field", ["If-Match", "If-None-Match"])
def test_several_lines_of_one_field_are_one_list(client: TestClient, field: str) -> None:
    lines = [(field, '"a"'), (field, '"v1"')]

    response = client.put("/strong", headers=lines)

    assert response.status == (200 if field == "If-Match" else 412)


def test_g11_a_lost_update_is_prevented() -> None:
    app = RestApplication()
    state = {"version": 1}

    @app.generate_etag
    def version() -> str:
        return str(state["version"])

    @app.get("/page")
    def read(version: str) -> dict[str, int]:
        return dict(state)

    @app.put("/page")
    def change(version: str) -> dict[str, int]:
        state["version"] += 1
        return dict(state)

    with TestClient(app) as client:
        read_by_both = client.get("/page").headers["ETag"]
        first = client.put("/page", headers={"If-Match": read_by_both})
        second = client.put("/page", headers={"If-Match": read_by_both})

    assert (first.status, second.status, state["version"]) == (200, 412, 2)


@pytest.mark.parametrize("moment", [CHANGED, CHANGED.replace(tzinfo=None)])
def test_l17_a_moment_without_a_zone_is_utc(moment: datetime) -> None:
    app = RestApplication()

    @app.last_modified
    def changed() -> datetime:
        return moment

    @app.get("/y")
    def handler(changed: datetime) -> dict[str, str]:
        return {}

    with TestClient(app) as client:
        response = client.get("/y", headers=modified(AT))

    assert (response.status, response.headers["Last-Modified"]) == (304, AT)
