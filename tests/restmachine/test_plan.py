"""A compiled plan answers as the diagram walked whole does, and keeps nothing it cannot need."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restmachine import MultiValueHeaders, NotFound, Observer, Request, Response, RestApplication
from restmachine.decisions import DIAGRAM, Effect
from restmachine.decorators import skip_auth_check, skip_content_negotiation
from restmachine.exchange import DirectExchange, Exchange
from restmachine.hooks import DECISION
from restmachine.outcome import conclude, fail
from restmachine.plan import Answer, walk
from restmachine.serving import close
from restmachine.testing import TestClient
from restmachine.workers import LoopPortal

CHANGED = datetime(2024, 5, 1, 12, tzinfo=UTC)
TRUTHS = (True, False)

ROUTE_CALLBACKS: dict[str, tuple[Any, ...]] = {
    "resource_exists": ({"id": 1}, None, False),
    "authorized": TRUTHS,
    "forbidden": (False, True, None, {"may": "pass"}),
    "generate_etag": ("v1", 'W/"v1"', None),
    "last_modified": (CHANGED, CHANGED.replace(microsecond=9, tzinfo=None), None),
    "moved_permanently": (None, "/elsewhere"),
    "moved_temporarily": (None, "/elsewhere"),
    "previously_existed": TRUTHS,
    "allow_missing_post": TRUTHS,
    "conflict": TRUTHS,
    "delete_completed": TRUTHS,
    "multiple_choices": TRUTHS,
}
APPLICATION_CALLBACKS = (
    "service_available",
    "known_method",
    "uri_too_long",
    "method_allowed",
    "malformed_request",
    "authorized",
    "forbidden",
    "content_headers_valid",
    "resource_exists",
)
ERRORS = (KeyError("x"), ValueError("x"), PermissionError("x"), NotFound())
RESULTS = (
    {"a": 1},
    None,
    "text",
    ({"made": 1}, 201),
    ({"a": 1}, 200, {"Location": "/x/1"}),
    (None, 204),
    Response(404, '{"error": "Not found"}'),
    KeyError("x"),
)
CONTENTS = (b"", b"", b"[1]", b'{"long": 1}', b"{", b"1" * 1001)
SOURCES = ("request", "json_body", "request_headers", "language", "response_headers")

TAGS = ("*", '"v1"', 'W/"v1"', '"other"', '"other", "v1"', "nonsense")
DATES = (
    "Wed, 01 May 2024 12:00:00 GMT",
    "Wed, 01 May 2024 11:59:59 GMT",
    "Fri, 01 Jan 2100 00:00:00 GMT",
    "yesterday",
)
FIELDS: dict[str, tuple[str, ...]] = {
    "If-Match": TAGS,
    "If-None-Match": TAGS,
    "If-Modified-Since": DATES,
    "If-Unmodified-Since": DATES,
    "Accept": ("application/json", "text/html;q=0.5", "image/png", "*/*;q=0", ""),
    "Accept-Language": ("de", "fr", "*"),
    "Accept-Encoding": ("gzip", "identity;q=0"),
    "Accept-Charset": ("utf-8", "latin-1"),
    "Content-Type": ("application/json", "image/png"),
}


@dataclass
class Behaviour:
    """What a generated function does, and in which of the four forms it is written."""

    value: Any
    form: str

    def function(self, name: str, parameters: list[str]) -> Callable[..., Any]:
        """Return a function of these parameters."""
        value = self.value

        def outcome(given: tuple[Any, ...]) -> Any:
            if "response_headers" in parameters:
                given[parameters.index("response_headers")]["X-Stated-By"] = name
            if isinstance(value, Exception):
                raise value
            return value

        def plain(*given: Any) -> Any:
            return outcome(given)

        async def coroutine(*given: Any) -> Any:
            return outcome(given)

        def generator(*given: Any) -> Iterator[Any]:
            yield outcome(given)

        async def async_generator(*given: Any) -> AsyncIterator[Any]:
            yield outcome(given)

        forms = (plain, coroutine, generator, async_generator)
        function: Any = {form.__name__: form for form in forms}[self.form]
        function.__name__ = name
        function.__signature__ = inspect.Signature(
            [inspect.Parameter(p, inspect.Parameter.POSITIONAL_OR_KEYWORD) for p in parameters]
        )
        return function


class Sent(NamedTuple):
    """A request."""

    method: str
    headers: dict[str, str]
    content: bytes

    def message(self) -> Request:
        """Return it for direct execution."""
        return Request(self.method, "/x", self.headers, self.content)


@dataclass
class Case:
    """A generated application, and the seed of requests to it."""

    blocking: bool
    methods: list[str]
    callbacks: dict[str, Behaviour]
    twins: dict[str, Behaviour]
    defaults: dict[str, Behaviour]
    handler: Behaviour
    sources: list[str]
    marks: list[Callable[[Any], Any]]
    creates: bool
    options: dict[str, Any]
    seed: int

    def application(self) -> RestApplication:
        """Return the application, which has one path."""
        app = RestApplication(blocking=self.blocking, max_content=1000)
        for kind, behaviour in self.callbacks.items():
            getattr(app, kind)(behaviour.function(f"own_{kind}", []))
        for kind, behaviour in self.twins.items():
            getattr(app, kind)(behaviour.function(f"other_{kind}", []))
        for kind, behaviour in self.defaults.items():
            getattr(app, f"default_{kind}")(behaviour.function(kind, ["request_headers"]))
        asked = [f"own_{kind}" for kind in self.callbacks] + self.sources
        asked += [f"other_{kind}" for kind in self.twins]
        handler = self.handler.function("handler", asked)
        for mark in self.marks:
            handler = mark(handler)
        for method in self.methods:
            creates = self.creates and method == "PUT"
            app.route(method, "/x", creates=creates, **self.options)(handler)
        return app

    def failures(self, sent: Sent) -> int:
        """Return how many things may go wrong with a request.

        On the event loop functions are asked in another order, so which of several failures
        is told is left open.
        """
        functions = [*self.callbacks.values(), *self.twins.values(), *self.defaults.values()]
        handled = self.handler.value
        unfit = isinstance(handled, Exception) or getattr(handled, "status_code", 200) >= 300
        unfit = unfit or (isinstance(handled, tuple) and len(handled) > 1 and handled[1] != 200)
        return (
            sum(isinstance(function.value, Exception) for function in functions)
            + unfit
            + ("json_body" in self.sources and sent.content != b"")
        )

    def requests(self) -> Iterator[Sent]:
        """Yield many requests, since each costs less than the application."""
        chance = Random(self.seed)
        for _ in range(25):
            names = chance.sample(sorted(FIELDS), chance.choice((0, 1, 1, 1, 2, 3)))
            yield Sent(
                chance.choice([*self.methods * 7, "OPTIONS", "PUT", "BREW"]),
                {name: chance.choice(FIELDS[name]) for name in names},
                chance.choice(CONTENTS),
            )


def behaviours(values: tuple[Any, ...], *forms: str) -> st.SearchStrategy[Behaviour]:
    """Write functions that return one of the values, or raise one of them."""
    all_forms = forms or ("plain", "coroutine", "generator", "async_generator")
    return st.builds(Behaviour, st.sampled_from(values), st.sampled_from(all_forms))


def some(of: dict[str, tuple[Any, ...]], at_most: int) -> st.SearchStrategy[dict[str, Behaviour]]:
    """Write a few callbacks, each with one of its values or, seldom, an error."""
    return st.lists(st.sampled_from(sorted(of)), unique=True, max_size=at_most).flatmap(
        lambda kinds: st.fixed_dictionaries(
            {kind: behaviours((*of[kind] * 5, *ERRORS)) for kind in kinds}
        )
    )


METHODS_OF_ROUTES = (["GET"], ["GET", "PUT"], ["POST", "PUT"], ["HEAD", "PATCH"], ["DELETE", "GET"])
# Mostly what lets a request pass, so that later decisions are asked too.
PASSING = {
    kind: (kind not in ("uri_too_long", "malformed_request", "forbidden"),) * 8 + TRUTHS
    for kind in APPLICATION_CALLBACKS
}
OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "languages": st.just(("en", "de")),
    "encodings": st.just(("gzip", "identity")),
    "charsets": st.just(("utf-8",)),
    "max_content": st.just(5),
    "blocking": st.booleans(),
}


THEMES: dict[str, dict[str, Behaviour]] = {
    "any": {},
    "dated": {"last_modified": Behaviour(CHANGED, "coroutine")},
    "tagged": {"generate_etag": Behaviour("v1", "plain")},
    "absent": {"resource_exists": Behaviour(None, "plain")},
    "gone": {
        "resource_exists": Behaviour(None, "coroutine"),
        "previously_existed": Behaviour(True, "plain"),
    },
}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw an application."""
    theme = draw(st.sampled_from(sorted(THEMES)))
    return Case(
        blocking=draw(st.booleans()),
        methods=draw(st.sampled_from(METHODS_OF_ROUTES)),
        callbacks=draw(some(ROUTE_CALLBACKS, at_most=3)) | THEMES[theme],
        twins=draw(some(ROUTE_CALLBACKS, at_most=1)),
        defaults=draw(some(PASSING, at_most=1)),
        handler=draw(behaviours(RESULTS, "plain", "coroutine")),
        sources=draw(st.lists(st.sampled_from(SOURCES), unique=True, max_size=2)),
        marks=draw(
            st.lists(st.sampled_from([skip_content_negotiation, skip_auth_check]), max_size=1)
        ),
        creates=draw(st.booleans()),
        options=draw(st.fixed_dictionaries({}, optional=OPTIONS)),
        seed=draw(st.integers(0, 2**32)),
    )


thorough = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


class Decided(Observer):
    """Keeps the decisions of the last request."""

    kinds = (DECISION,)

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        self.answers = [Answer(*subject) for _, subject, _, _ in exchange.timeline]


class Ended(Observer):
    """Keeps the last decision of the last request."""

    decision = ""

    def request_finished(
        self, exchange: Exchange, status: int, sent_bytes: int, now: float
    ) -> None:
        self.decision = exchange.decision


def end_of(path: list[Answer]) -> str:
    """Return the last decision of a path if it leads to a status, nothing if it does not."""
    row, answer = DIAGRAM[path[-1].id], path[-1].answer
    target = row.then if isinstance(row, Effect) else row.yes if answer else row.no
    return path[-1].id if isinstance(target, int) else ""


def walked(app: RestApplication, sent: Sent, portal: LoopPortal) -> tuple[list[Answer], Exchange]:
    """Answer a request by walking the table, and return the path and the whole exchange."""
    plan, values = app.dispatch(sent.method, "/x")
    exchange = DirectExchange(plan, sent.message(), values)
    exchange.portal = portal
    path: list[Answer] = []
    try:
        conclude(exchange, walk(exchange, path))
    except Exception as error:
        fail(exchange, error)
    close(exchange)
    return path, exchange


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the tracebacks of errors that are meant out of the report."""
    caplog.set_level(logging.CRITICAL, logger="restmachine")


@pytest.mark.filterwarnings("ignore::restmachine.ConfigurationWarning")
@thorough
@given(case=cases())
def test_a_plan_answers_as_the_table_walked_whole(case: Case, portal: LoopPortal) -> None:
    app = case.application()

    for sent in case.requests():
        _, exchange = walked(app, sent, portal)
        direct = app.execute(sent.message())

        assert (sent, direct.status_code) == (sent, exchange.status)
        assert (sent, direct.body or b"") == (sent, sent_content(exchange))
        assert (sent, fields_of(direct.headers)) == (sent, fields_of(exchange.head))
    app.shutdown_sync()


@pytest.mark.filterwarnings("ignore::restmachine.ConfigurationWarning")
@thorough
@given(case=cases())
def test_a_plan_answers_on_the_event_loop_as_the_table_walked_whole(
    case: Case, portal: LoopPortal
) -> None:
    app = case.application()

    with TestClient(app) as client:
        for sent in case.requests():
            _, exchange = walked(app, sent, portal)
            served = client.request(sent.method, "/x", headers=sent.headers, content=sent.content)
            if case.failures(sent) > 1:
                assert (sent, served.status >= 300) == (sent, exchange.status >= 300)
                continue

            assert (sent, served.status) == (sent, exchange.status)
            assert (sent, served.content) == (sent, sent_content(exchange))
            assert (sent, fields_of(served.headers)) == (sent, fields_of(exchange.head))


@pytest.mark.filterwarnings("ignore::restmachine.ConfigurationWarning")
@thorough
@given(case=cases())
def test_a_plan_passes_the_decisions_of_the_table_that_its_route_leaves_open(
    case: Case, portal: LoopPortal
) -> None:
    app = case.application()
    observer = Decided()
    app.observe(observer)

    for sent in case.requests():
        path, exchange = walked(app, sent, portal)
        app.execute(sent.message())

        kept = {step.id for step in exchange.plan.steps()}
        open_path = [step for step in path if step.id in kept and step.answer is not None]
        assert (sent, observer.answers) == (sent, open_path)
    app.shutdown_sync()


@pytest.mark.filterwarnings("ignore::restmachine.ConfigurationWarning")
@thorough
@given(case=cases())
def test_a_plan_tells_where_its_decisions_ended_as_the_table_walked_whole(
    case: Case, portal: LoopPortal
) -> None:
    app = case.application()
    observer = Ended()
    app.observe(observer)

    for sent in case.requests():
        path, _ = walked(app, sent, portal)
        app.execute(sent.message())

        assert (sent, observer.decision) == (sent, end_of(path))
    app.shutdown_sync()


def sent_content(exchange: Exchange) -> bytes:
    """Return the content which a client gets."""
    return b"" if exchange.method == "HEAD" else exchange.content


def fields_of(head: MultiValueHeaders | list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Return header fields as text, in an order that can be compared."""
    pairs = head.items_all() if isinstance(head, MultiValueHeaders) else head
    decoded = [
        (str(n, "latin-1"), str(v, "latin-1")) if isinstance(n, bytes) else (n, v) for n, v in pairs
    ]
    return sorted(decoded)
