"""Each feature as an application uses it, beside a route that does not.

The application knows the feature in all of these; one of its routes uses it, at `USED`, and the
one at `PLAIN` does not. The latter must cost what it costs in an application that never heard of
the feature, and have the same plan.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from restmachine import CSPPreset, NotFound, Observer, RestApplication, Router
from restmachine.decorators import cache_response, skip_auth_check, skip_content_negotiation
from restmachine.hooks import KINDS

PLAIN = "/plain"
USED = "/feature/used"

Feature = Callable[[RestApplication], None]


def application(feature: Feature | None = None) -> RestApplication:
    """Return an application of a plain route, and of what a feature adds to it."""
    app = RestApplication()

    @app.get(PLAIN)
    async def plain() -> dict[str, str]:
        return {"message": "hi!"}

    if feature is not None:
        feature(app)
    return app


def default_headers(app: RestApplication) -> None:
    """Give header fields to every response of a mounted router."""
    router = Router()

    @router.default_headers(blocking=False)
    def fields() -> dict[str, str]:
        return {"X-Frame-Options": "DENY"}

    @router.get("/used")
    async def used() -> dict[str, str]:
        return {"message": "hi!"}

    app.mount("/feature", router)


def error_handler(app: RestApplication) -> None:
    """Answer 404 in a way of one's own."""

    @app.handles_error(404)
    async def lost(message: str) -> dict[str, str]:
        return {"lost": message}

    @app.get(USED)
    async def used() -> None:
        raise NotFound


def entity_tag(app: RestApplication) -> None:
    """Compute an entity tag from a dependency."""

    @app.dependency()
    async def article() -> dict[str, str]:
        return {"message": "hi!"}

    @app.generate_etag
    async def version(article: dict[str, str]) -> str:
        return "1"

    @app.get(USED)
    async def used(article: dict[str, str]) -> dict[str, str]:
        return article


def generator_dependency(app: RestApplication) -> None:
    """Finish a dependency after the response was made."""

    @app.dependency()
    async def session() -> AsyncIterator[str]:
        yield "hi!"

    @app.get(USED)
    async def used(session: str) -> dict[str, str]:
        return {"message": session}


def resource_exists(app: RestApplication) -> None:
    """Ask whether the resource is there."""

    @app.resource_exists
    async def article() -> dict[str, str] | None:
        return {"message": "hi!"}

    @app.get(USED)
    async def used(article: dict[str, str]) -> dict[str, str]:
        return article


def cached_response(app: RestApplication) -> None:
    """State for how long an answer stays fresh."""

    @app.get(USED)
    @cache_response(max_age=60)
    async def used() -> dict[str, str]:
        return {"message": "hi!"}


def renderers(app: RestApplication) -> None:
    """Provide two media types of the route's own, and one of a mounted router's."""
    router = Router()

    @router.content_renderer("text/csv")
    def csv(data: dict[str, str]) -> str:
        return ",".join(data)

    @router.get("/used")
    async def used() -> dict[str, str]:
        return {"message": "hi!"}

    @router.provides("text/plain", blocking=False)
    def as_text(used: dict[str, str]) -> str:
        return used["message"]

    @router.provides("application/xml", blocking=False)
    def as_xml(used: dict[str, str]) -> str:
        return f"<message>{used['message']}</message>"

    app.mount("/feature", router)


def request_id(app: RestApplication) -> None:
    """Take the name of a request to a mounted router from a header field."""
    router = Router()

    @router.request_id
    async def name(request_headers: Mapping[str, str]) -> str:
        return request_headers.get("X-Request-ID") or "none"

    @router.get("/used")
    async def used(request_id: str) -> dict[str, str]:
        return {"id": request_id}

    app.mount("/feature", router)


def streamed_body(app: RestApplication) -> None:
    """Send content piece by piece."""

    @app.get(USED)
    async def used() -> AsyncIterator[bytes]:
        yield b"hi!"


def max_content(app: RestApplication) -> None:
    """Limit the content of one route."""

    @app.get(USED, max_content=100)
    async def used() -> dict[str, str]:
        return {"message": "hi!"}


def languages(app: RestApplication) -> None:
    """Offer two languages."""

    @app.get(USED, languages=("en", "de"))
    async def used(language: str) -> dict[str, str]:
        return {"message": "hi!" if language == "en" else "hallo!"}


def bypassed_decisions(app: RestApplication) -> None:
    """Ask no decision on one route."""

    @app.get(USED, bypass_state_machine=True)
    async def used() -> dict[str, str]:
        return {"message": "hi!"}


def skipped_negotiation(app: RestApplication) -> None:
    """Do without looking at Accept on one route."""

    @app.get(USED)
    @skip_content_negotiation
    async def used() -> dict[str, str]:
        return {"message": "hi!"}


def skipped_authorization(app: RestApplication) -> None:
    """Do without asking who the client is on one route."""

    @app.get(USED)
    @skip_auth_check
    async def used() -> dict[str, str]:
        return {"message": "hi!"}


def authorization(app: RestApplication) -> None:
    """Ask on one route who the client is."""

    @app.authorized
    async def user(request_headers: Mapping[str, str]) -> str:
        return request_headers.get("User-Agent", "")

    @app.get(USED)
    async def used(user: str) -> dict[str, str]:
        return {"message": "hi!"}


class Listening(Observer):
    """Has all of each request written down, and hears of its end."""

    kinds = KINDS

    def request_finished(self, exchange: Any, status: int, sent_bytes: int, now: float) -> None:
        """Do nothing with it."""


def listening_observer(feature: Feature | None = None) -> RestApplication:
    """Return an application all of whose routes are observed."""
    app = application(feature)
    app.observe(Listening())
    return app


def csp(app: RestApplication) -> None:
    """Say on one route what pages may load."""

    @app.get(USED)
    @app.csp(preset=CSPPreset.STRICT)
    async def used() -> dict[str, str]:
        return {"message": "hi!"}


def csp_nonce(app: RestApplication) -> None:
    """Allow the scripts of one route by a nonce for each request."""

    @app.get(USED)
    @app.csp(script_src=["self"], nonce=True)
    async def used() -> dict[str, str]:
        return {"message": "hi!"}


ORIGIN = "https://app.example.org"


def cors(app: RestApplication) -> None:
    """Let a page of another origin read one route, asked by somebody else."""

    @app.get(USED)
    @app.cors(ORIGIN)
    async def used() -> dict[str, str]:
        return {"message": "hi!"}


def cors_from_origin(app: RestApplication) -> None:
    """Let a page of another origin read one route, asked by that page."""
    cors(app)


def silent_observer(app: RestApplication) -> None:
    """Have an observer that overrides nothing: what observes at all concerns every route."""
    app.observe(Observer())


FEATURES: Mapping[str, Feature] = {
    feature.__name__: feature
    for feature in (
        default_headers,
        error_handler,
        entity_tag,
        generator_dependency,
        resource_exists,
        cached_response,
        renderers,
        request_id,
        streamed_body,
        max_content,
        languages,
        bypassed_decisions,
        skipped_negotiation,
        skipped_authorization,
        authorization,
        csp,
        csp_nonce,
        cors,
        cors_from_origin,
        silent_observer,
    )
}
"""Every feature that a route may leave unused."""

SENT: Mapping[str, list[tuple[bytes, bytes]]] = {
    cors_from_origin.__name__: [(b"origin", ORIGIN.encode())],
}
"""The header fields of the request that uses a feature, where it has any beside the usual ones."""
