"""Compiles the diagram for one route and method, runs it, and walks it whole for reference.

A `Registry` is what the application recorded. `compile_plan` makes of it the `Plan` of one
route: the decisions that can fire for it, linked to each other, and the call of its handler.
`decide` runs a plan; `walk` answers every row of the table in order: slow, obvious, and
what a property test holds `decide` to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from restmachine.checked import Checked, find_checked
from restmachine.cors import CORSConfig
from restmachine.crossing import Crossings, find_crossings
from restmachine.csp import AskedCSP
from restmachine.decisions import DIAGRAM, START, Effect, Target
from restmachine.dependencies import PARSED_NAMES, Call, Made, Preparation, Source, Wiring
from restmachine.direct import Direct, Settled, find_direct, find_hopping
from restmachine.endings import Ending, build_ending
from restmachine.errors import ConfigurationError, UnprotectedRouteError
from restmachine.exchange import MISSING, Exchange
from restmachine.hooks import DECISION, DEPENDENCY, Places, hears
from restmachine.linking import link, share_links
from restmachine.multipart import MultipartCall, require_parser
from restmachine.negotiation import best_charset, best_encoding, best_language
from restmachine.observed import ObservedCall, ObservedDirect, observe_direct, observe_ends
from restmachine.outcome import take
from restmachine.parsing import form_content, json_content, text_content
from restmachine.policies import Held, ResponsePolicy, held_by
from restmachine.questions import Check, forbids, is_there
from restmachine.recipes import Recipe, handler_recipe, result_type
from restmachine.registry import VALIDATORS, Policy, Registry
from restmachine.renditions import Rendition, build_renditions, vary_of
from restmachine.response_cache import ResponseCache, cache_of
from restmachine.results import ResultKeeper, RouteRenderer, build_keeper, find_renderers
from restmachine.routing import Route, RouteOptions
from restmachine.steps import Step, skip_absent_fields
from restmachine.streaming import content_stream
from restmachine.writing import Serve, write

# What the framework itself provides by name, beside the request and path parameters.
SOURCES: Mapping[str, Source | Made] = {
    "request": Source(lambda x: x.request, reads_content=True),
    "path_params": Source(lambda x: x.path_params),
    "query_params": Source(lambda x: x.message.query_params),
    "request_headers": Source(lambda x: x.request_headers),
    "response_headers": Source(lambda x: x.response_headers),
    "body": Source(text_content, reads_content=True),
    "json_body": Source(json_content, reads_content=True),
    "form_body": Source(form_content, reads_content=True),
    "text_body": Source(text_content, reads_content=True),
    "multipart_body": MultipartCall(),
    "language": Source(
        lambda x: x.language or best_language(None, x.plan.options.languages), once=False
    ),
    "charset": Source(
        lambda x: x.charset or best_charset(None, x.plan.options.charsets), once=False
    ),
    "encoding": Source(
        lambda x: x.encoding or best_encoding(None, x.plan.options.encodings), once=False
    ),
    "body_stream": Source(content_stream, once=False),
    "request_id": Source(lambda x: x.identify("request_id")),
    "trace_id": Source(lambda x: x.identify("trace_id")),
    "exception": Source(lambda x: x.error, once=False),
}


class Plan:
    """Everything about a route and method that no request can change.

    Attributes:
        first: Where deciding starts: a step, or the status of every request.
        blank: The places for request dependencies, all empty.
        reached: The names of the request dependencies that anything on the route asks for.
        names: The names of the path parameters, in order.
        checks: The user's callbacks that apply, by kind.
        blocking: Whether its sync functions may block, unless they say otherwise.
        allowed: The methods that the path answers; a routed plan hears of the others later.
        policies: What holds at the path, the outer ones first.
        policy: What its answers say of other origins and of what pages may load; None for most.
        cors, csp: Parts of that: what holds for other origins, and what each request is asked.
        matched: Whether a route matched the path at all.
        renditions: How data becomes content, by media type, the default one first.
        sends_file: Whether the handler says that it returns a path (``-> Path``): the file has
            a type of its own.
        observed: Whether anything listens.
        renderers: What the route itself provides, by media type.
        keeper: Takes what the handler returned, None where that is taken as it is.
        ending: What follows the end of the plan, None for most.
        cache: The stored responses of the route, None for most.
        refusal: The status of every request if no decision is asked, else 0.
        may_await: Whether anything of it may await.
        may_block: Whether any of its sync functions may block.
        direct: The direct way to an answer, None where there is none or anything listens.
        hopping: The same with a hop to a worker thread.
        checked: The same for a route that has dependencies, asks callbacks, has an entity tag
            or reads content; `written` goes it.
        observed_direct: The same as `direct` for what listens.
        written: Serves a request on its checked way; None without one, and where the plan that
            does is one of its crossings.
        crossings: The plans by origin, None where requests that name one are like others.
        places: What ends at each mark on that way but the first (`hooks`); empty without one.
        settled: Answers that differ by the Accept field alone, None where others may.
    """

    # Every route has one, and a dict of them would take four times as much memory.
    __slots__ = (
        "allowed",
        "blank",
        "blocking",
        "cache",
        "challenge",
        "checked",
        "checks",
        "cors",
        "crossings",
        "csp",
        "default_rendition",
        "direct",
        "ending",
        "first",
        "handler",
        "hears",
        "hopping",
        "keeper",
        "matched",
        "max_content",
        "max_form_fields",
        "max_headers",
        "max_uri",
        "may_await",
        "may_block",
        "media_types",
        "method",
        "names",
        "negotiates",
        "observed",
        "observed_direct",
        "options",
        "parsers",
        "parses_content",
        "places",
        "policies",
        "policy",
        "protected",
        "reached",
        "reads_content",
        "refusal",
        "renderers",
        "renditions",
        "route",
        "sends_file",
        "settled",
        "streams_content",
        "template",
        "validates",
        "written",
    )

    route: Route | None
    method: str
    template: str | None
    allowed: tuple[str, ...]
    matched: bool
    options: RouteOptions
    names: tuple[str, ...]
    handler: Call | None
    checks: dict[str, tuple[Check, ...]]
    blank: list[Any]
    reached: frozenset[str]
    blocking: bool
    negotiates: bool
    sends_file: bool
    reads_content: bool
    streams_content: bool
    parses_content: bool
    media_types: tuple[str, ...]
    max_content: int
    ending: Ending | None
    renderers: dict[str, RouteRenderer]
    refusal: int

    def __init__(
        self,
        registry: Registry,
        method: str,
        route: Route | None,
        template: str | None,
        allowed: Sequence[str],
        policies: tuple[Policy, ...],
        names: tuple[str, ...] = (),
        preflights: Mapping[str, CORSConfig | None] = MappingProxyType({}),
        held: Held | None = None,
    ) -> None:
        self.route = route
        self.method = method
        self.refusal = 0
        self.template = template
        self.allowed = tuple(allowed)
        self.policies = policies
        self.matched = template is not None
        self.options = route.options if route else RouteOptions()
        self.names = route.template.names if route else names
        self.challenge = registry.challenge
        self.parsers: Mapping[str, Recipe] = dict(registry.parsers)
        self.max_form_fields = registry.max_form_fields
        self.max_uri = registry.max_uri
        self.max_headers = registry.max_headers
        limit = self.options.max_content
        self.max_content = registry.max_content if limit is None else limit
        self.hears = hears(registry.observers, method, template)
        self.observed = self.hears.anything
        if held is None:
            held = held_by(route.levels if route else [policy.level for policy in policies])
        self.cors: CORSConfig | None = self.options.cors or held.cors
        self.policy = self._response_policy(held, preflights)
        self.csp: AskedCSP | None = None if self.policy is None else self.policy.csp
        self._wire(registry)
        self.protected = "authorized" in self.checks or "forbidden" in self.checks
        self.validates = method in ("GET", "HEAD") and not self.checks.keys().isdisjoint(VALIDATORS)
        self.sends_file = (
            route is not None and method in ("GET", "HEAD") and result_type(route.handler) is Path
        )
        self.negotiates = (
            self.options.negotiates and not self.options.bypass and not self.sends_file
        )
        renderers = {**registry.renderers}
        for policy in policies:
            renderers.update(policy.renderers)
        own = self.renderers if self.negotiates else {}
        self.renditions: dict[str, Rendition] = build_renditions(self, renderers, tuple(own))
        self.media_types = tuple(self.renditions)
        self.keeper: ResultKeeper | None = None
        if route is not None:
            self.keeper = build_keeper(route, own, self.media_types[0], renderers)
        self.default_rendition = next(iter(self.renditions.values()))
        self.cache: ResponseCache | None = None
        if self.options.cache_settings is not None:
            vary = vary_of(self, len(self.renditions) > 1)
            self.cache = cache_of(self, vary, registry.clock, registry.caches)
        links = share_links(self)
        self.first, steps = link(self) if links is None else (links.first, ())
        self._find_ways()
        if links is not None:
            self.first = links.guarded
            self.may_await, self.may_block = links.may_await, links.may_block
        else:
            if DECISION not in self.hears.kinds:
                self.first = skip_absent_fields(self.first, steps)
            if self.observed:
                self.first = observe_ends(self.first)
            self.may_await = any(step.later is not None for step in steps)
            self.may_block = any(step.blocks for step in steps)
        if self.ending is not None:
            self.may_await = self.may_await or self.ending.awaits
            self.may_block = self.may_block or self.ending.blocks

    def __repr__(self) -> str:
        return f"<Plan {self.method} {self.template}>"

    def _find_ways(self) -> None:
        """Find the fast ways to an answer, of a plan whose steps are linked."""
        self.direct: Direct | None = None
        self.hopping: Direct | None = None
        self.checked: Checked | None = None
        self.observed_direct: ObservedDirect | None = None
        self.places: Places = ()
        self.settled: dict[bytes | None, Settled] | None = None
        if not self.observed:
            self.direct = find_direct(self)
            if self.direct is None:
                self.hopping = find_hopping(self)
            names_origins = self.policy is not None and bool(self.policy.fields)
            if self.hopping is None and (self.direct is None or names_origins):
                self.checked = find_checked(self)
            if isinstance(self.first, int) and (self.ending is None or self.ending.is_constant):
                self.settled = {}
        elif DECISION not in self.hears.kinds:
            self.observed_direct = observe_direct(self)
            if self.observed_direct is not None:
                self.places = self.observed_direct.places
        self.crossings: Crossings | None = find_crossings(self)
        self.written: Serve | None = None
        if self.checked is not None and self.crossings is None:
            self.written = write(self.checked, self)

    def _response_policy(
        self, held: Held, preflights: Mapping[str, CORSConfig | None]
    ) -> ResponsePolicy | None:
        csp = self.options.csp or held.csp
        if not (self.cors or csp or held.csp_provider or any(preflights.values())):
            return None
        return ResponsePolicy(self.cors, csp, held.csp_provider, preflights)

    def _wire(self, registry: Registry) -> None:
        stated = self.options.blocking
        self.blocking = registry.blocking if stated is None else stated
        wiring = Wiring(
            registry.recipes,
            registry.resources,
            SOURCES,
            self.names,
            self.blocking,
            ObservedCall if DEPENDENCY in self.hears.kinds else None,
            registry.parsers,
        )
        self.handler = None
        self.renderers = {}
        if self.route is not None:
            recipe = handler_recipe(self.route.handler)
            self.handler = wiring.call(recipe, f'{self.route} ("{recipe.name}")')
            self.renderers = find_renderers(wiring, self.route, self.handler)
        defaults = [policy.defaults for policy in self.policies] if self.matched else []
        self.checks = find_checks(registry, wiring, defaults, self.options.authorizes)
        if self.options.bypass:
            self._refuse_bypass(registry)
        before = [need.call.before for need in wiring.places]
        if self.handler is not None:
            before.append(self.handler.before)
        before += [renderer.call.before for renderer in self.renderers.values()]
        if "multipart_body" in wiring.asked:
            require_parser()
        parsed = PARSED_NAMES.union(parser.name for parser in registry.parsers.values())
        self.parses_content = not wiring.asked.isdisjoint(parsed)
        self.reads_content = self.parses_content or any(
            preparation.reads_content for preparation in before
        )
        self.streams_content = "body_stream" in wiring.asked
        if self.streams_content:
            self._let_stream(sorted(wiring.asked & {*parsed, "body"}))
        # Last, so that what it reaches does not decide which callbacks apply.
        content_names = {*parsed, "body", "body_stream"}
        self.ending = build_ending(
            wiring, self.policies, registry.recipes, content_names, self.policy
        )
        self.blank = [MISSING] * wiring.size
        self.reached = frozenset(need.name for need in wiring.places)

    def _let_stream(self, others: list[str]) -> None:
        """Leave the content to `body_stream`: what asks for the request must not read it."""
        if others:
            raise ConfigurationError(
                f'{self.route} asks for "body_stream" and for "{others[0]}", but content can be '
                "read only once. Remove one of them."
            )
        self.reads_content = False

    def _refuse_bypass(self, registry: Registry) -> None:
        """Fail closed: a bypass route must not silently skip an authorization check."""
        for kind in ("authorized", "forbidden"):
            if kind in self.checks:
                raise UnprotectedRouteError(str(self.route), self.checks[kind][0].need.name)
        self.checks = {}

    def refusing(self, status: int) -> Plan:
        """Return this plan as it answers a request which is refused before any decision."""
        plan = copy(self)
        plan.first = plan.refusal = status
        plan.direct = plan.hopping = plan.checked = plan.written = None
        plan.observed_direct = plan.settled = None
        plan.crossings = None
        return plan

    def preparation_of(self, kind: str) -> Preparation:
        """Return what must be made before the callbacks of a kind are asked."""
        return Preparation.of(check.need for check in self.checks.get(kind, ()))

    def steps(self) -> Iterator[Step]:
        """Yield every step of the plan once, the first one first, without the ends."""
        waiting, seen = [self.first], set()
        while waiting:
            step = waiting.pop(0)
            if isinstance(step, Step) and step.id in DIAGRAM and id(step) not in seen:
                seen.add(id(step))
                yield step
                waiting += [step.no, step.yes]


# How a callback's value is read; every other kind is read by its truth.
_ROUTE_JUDGES: Mapping[str, Callable[[Any], bool]] = {
    "resource_exists": is_there,
    "forbidden": forbids,
}


def find_checks(
    registry: Registry,
    wiring: Wiring,
    defaults: Sequence[Mapping[str, Recipe]],
    authorizes: bool,
) -> dict[str, tuple[Check, ...]]:
    """Return the callbacks that apply to a route, by kind.

    A callback applies when the handler reaches it through its parameters; a validator
    also when every dependency that it takes is reached. The *defaults* always do.
    """
    found: dict[str, list[Check]] = {}
    reached = set(wiring.reached)
    for callback in sorted({one for name in reached for one in registry.applying.get(name, ())}):
        if callback.name in reached or callback.taken <= reached:
            check = Check(wiring.need(callback.name), _ROUTE_JUDGES.get(callback.kind, bool))
            found.setdefault(callback.kind, []).append(check)
    for level, recipes in enumerate(defaults):
        for kind, recipe in recipes.items():
            need = wiring.add(recipe, key=f"default {kind} {level}")
            found.setdefault(kind, []).append(Check(need, bool))
    if not authorizes:
        found.pop("authorized", None)
        found.pop("forbidden", None)
    return {kind: tuple(checks) for kind, checks in found.items()}


class Answer(NamedTuple):
    """One row that `walk` passed: its id and answer, None for an effect."""

    id: str
    answer: bool | None


def walk(exchange: Exchange, path: list[Answer] | None = None) -> int:
    """Answer all decisions in order from the table: the reference for `decide`.

    Args:
        path: Is filled with the rows passed.
    """
    plan = exchange.plan
    target: Target = plan.refusal or ("produce" if plan.options.bypass else START)
    passed = [] if path is None else path
    while isinstance(target, str):
        row = DIAGRAM[target]
        if isinstance(row, Effect):
            assert plan.handler is not None
            keep = take if plan.keeper is None else plan.keeper.keep
            keep(exchange, plan.handler.run(exchange))
            passed.append(Answer(target, None))
            target = row.then
        else:
            answer = row.question.answer(exchange)
            passed.append(Answer(target, answer))
            target = row.yes if answer else row.no
    return target
