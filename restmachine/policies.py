"""Response policies: what answers say of other origins (CORS) and of what pages may load (CSP).

A route's own goes before that of the router on which it was declared, which goes before those of
the routers which that one is mounted on, and these before that of the application. What no route
answers has what its routes agree on, and else that of the levels whose prefixes it is below. Which
one holds is settled when a plan is compiled: what every answer states is then constant, and the
rest is a `ResponsePolicy`'s to tell.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from restmachine.cors import ALLOWED_ORIGIN, ANY, ORIGIN, REQUESTED_METHOD, CORSConfig
from restmachine.csp import AskedCSP, CSPConfig, CSPPreset, Provider, Sources
from restmachine.decorators import mark
from restmachine.errors import ConfigurationError
from restmachine.headers import Pair, underlaid
from restmachine.recipes import Kind, Recipe

if TYPE_CHECKING:
    from restmachine.exchange import Exchange

Name = Literal["cors", "csp"]
Handler = TypeVar("Handler", bound=Callable[..., Any])

_VARY_ORIGIN = ((b"vary", b"Origin"),)


class StatedPolicy:
    """A policy as `cors(...)` or `csp(...)` returns it.

    It is that of the application or router which stated it, unless it decorates a handler: then
    it is that of the routes declared above it, and of nothing else. The handler carries it to every
    application and router on which it is declared from then on.

    Attributes:
        handlers: What it decorates.
    """

    __slots__ = ("_router", "config", "handlers", "name")

    def __init__(
        self, router: PolicyDecorators, name: Name, config: CORSConfig | CSPConfig
    ) -> None:
        self._router = router
        self.name = name
        self.config = config
        self.handlers: list[Callable[..., Any]] = []

    def __repr__(self) -> str:
        return f"<{self.config!r} as stated>"

    def __call__(self, handler: Handler) -> Handler:
        """Make it the policy of the routes that a handler gets from now on.

        Raises:
            ConfigurationError: The handler has a route already, which it would not reach; where
                that is one of another router, this is found when the application is built.
        """
        self.handlers.append(handler)
        self._router._decorated(self.name, handler)
        return mark(handler, **{self.name: self.config})


def stands_above(name: Name, route: object) -> ConfigurationError:
    """Return the error of a policy that decorates what already has a route."""
    return ConfigurationError(
        f"@{name} stands above the decorator of {route}, which it would not reach: put it below "
        "all route decorators, directly above the function."
    )


class PolicyDecorators(ABC):
    """How an application or a router states its response policies, and those of its routes."""

    @abstractmethod
    def _state(self, name: Name, config: CORSConfig | CSPConfig) -> StatedPolicy:
        """Record a policy."""

    @abstractmethod
    def _decorated(self, name: Name, handler: Callable[..., Any]) -> None:
        """Hear that a policy decorates a handler."""

    @abstractmethod
    def _provide_csp(self, function: Provider) -> None:
        """Record what gives the content security policy of each request."""

    def cors(
        self,
        origins: str | Sequence[str] = (),
        methods: Sequence[str] | None = None,
        allow_headers: Sequence[str] | None = None,
        expose_headers: Sequence[str] | None = None,
        credentials: bool = False,
        max_age: int = 86400,
        reflect_any_origin: bool = False,
    ) -> StatedPolicy:
        """Let pages of other origins read the answers; see `CORSConfig` for what is stated.

        Called, it holds at and below here. Below a route decorator, it holds for that route.
        Preflights for such a path are answered, whatever callbacks protect it and whether or not
        a route answers its OPTIONS; one that says bypass_state_machine=True answers them itself.

        Raises:
            InvalidPolicyError: This cannot be (a ValueError).
        """
        config = CORSConfig(
            origins,
            methods,
            allow_headers,
            expose_headers,
            credentials,
            max_age,
            reflect_any_origin,
        )
        return self._state("cors", config)

    def csp(
        self,
        *,
        default_src: Sources = None,
        script_src: Sources = None,
        style_src: Sources = None,
        img_src: Sources = None,
        font_src: Sources = None,
        connect_src: Sources = None,
        frame_src: Sources = None,
        object_src: Sources = None,
        media_src: Sources = None,
        worker_src: Sources = None,
        base_uri: Sources = None,
        form_action: Sources = None,
        nonce: bool = False,
        report_uri: str | None = None,
        report_only: bool = False,
        preset: CSPPreset | None = None,
    ) -> StatedPolicy:
        """Say what pages may load; see `CSPConfig` for what is stated.

        Called, it holds at and below here. Below a route decorator, it holds for that route. What
        a handler itself states in the field goes before it.

        Raises:
            InvalidPolicyError: This cannot be, says nothing, or has a nonce that nothing allows
                (a ValueError).
        """
        config = CSPConfig(
            default_src=default_src,
            script_src=script_src,
            style_src=style_src,
            img_src=img_src,
            font_src=font_src,
            connect_src=connect_src,
            frame_src=frame_src,
            object_src=object_src,
            media_src=media_src,
            worker_src=worker_src,
            base_uri=base_uri,
            form_action=form_action,
            nonce=nonce,
            report_uri=report_uri,
            report_only=report_only,
            preset=preset,
        )
        config.check_stated()
        return self._state("csp", config)

    def csp_provider(self, function: Handler) -> Handler:
        """Register a function of the request that gives its `CSPConfig`, asked once for each.

        It goes before every other policy here and below; None leaves it to these. It runs where
        the response is made, so it must not block.

        Raises:
            ConfigurationError: It is async, or takes something else.
        """
        recipe = Recipe(function)
        if recipe.kind is not Kind.PLAIN or len(recipe.parameters) != 1:
            raise ConfigurationError(
                f"The CSP provider {recipe} must be a plain function of the request alone."
            )
        self._provide_csp(function)
        return function


@dataclass
class Level:
    """What an application or a router states of its answers.

    Attributes:
        policies: The policies as they were stated, those of single routes among them.
        csp_provider: Gives the content security policy of each request.
    """

    policies: list[StatedPolicy] = field(default_factory=list)
    csp_provider: Provider | None = None

    def find(self, name: Name) -> Any:
        """Return the policy that was stated last and decorates no handler, or None."""
        stated = (each for each in reversed(self.policies) if each.name == name)
        return next((policy.config for policy in stated if not policy.handlers), None)


class Held(NamedTuple):
    """What levels hold together."""

    cors: CORSConfig | None
    csp: CSPConfig | None
    csp_provider: Provider | None


def held_by(levels: Sequence[Level]) -> Held:
    """Return what holds at these levels, the outer ones first: each from the innermost."""

    def innermost(values: list[Any]) -> Any:
        return next((value for value in reversed(values) if value is not None), None)

    return Held(
        innermost([level.find("cors") for level in levels]),
        innermost([level.find("csp") for level in levels]),
        innermost([level.csp_provider for level in levels]),
    )


class ResponsePolicy:
    """What the answers of one plan state, whatever else they are.

    Args:
        cors: Who may read the answers; None for nobody else.
        csp: What pages may load; None says nothing.
        provider: Gives that for each request.
        preflights: The routed methods of the path, each with who may send it from another
            origin; empty unless the plan answers the preflights of the path.

    Attributes:
        constant: The fields of every answer.
        fields: The names of request fields by which answers differ.
        csp: What is asked for each request, None if that is constant.
    """

    __slots__ = ("_cors", "_preflights", "constant", "csp", "fields")

    def __init__(
        self,
        cors: CORSConfig | None,
        csp: CSPConfig | None,
        provider: Provider | None,
        preflights: Mapping[str, CORSConfig | None],
    ) -> None:
        self._cors = cors
        self._preflights: Mapping[str, CORSConfig | None] = {}
        if any(preflights.values()):
            self._preflights = dict(sorted({"OPTIONS": cors, **preflights}.items()))
        self.csp: AskedCSP | None = None
        self.constant: tuple[Pair, ...] = ()
        if provider is not None or (csp is not None and not csp.is_constant):
            self.csp = AskedCSP(csp, provider)
        elif csp is not None:
            self.constant = csp.constant_fields
        self.fields: tuple[bytes, ...] = ()
        if cors is not None or self._preflights:
            self.constant = (*self.constant, *_VARY_ORIGIN)
            self.fields = (ORIGIN,)

    @property
    def is_constant(self) -> bool:
        """Whether every answer is given the same fields."""
        return self.csp is None and not self.fields

    @property
    def answers_preflights(self) -> bool:
        """Whether the plan answers preflights."""
        return bool(self._preflights)

    @property
    def allows_all(self) -> bool:
        """Whether pages of every origin may read the answers."""
        return self._cors is not None and ANY in self._cors.origins

    def allows(self, origin: bytes) -> bool:
        """Return whether pages of an origin may read the answers."""
        return self._cors is not None and self._cors.matches_origin(origin.decode("latin-1"))

    def head_of(self, head: tuple[Pair, ...], origin: bytes = b"") -> tuple[Pair, ...]:
        """Return the fields of a plan's answer, to an origin if there is one, as `put` does."""
        if self._cors is not None and origin:
            head = tuple(underlaid(head, self._cors.answer_fields(origin)))
        return _underlaid(head, self.constant)

    def put(self, exchange: Exchange) -> None:
        """Put the fields of the policy into an answer that is ready; what it states stays."""
        head = exchange.head
        if self.fields:
            origin = exchange.fields.get(ORIGIN)
            # An answer that names an origin itself must not get credentials from here.
            if origin is not None and not any(name == ALLOWED_ORIGIN for name, _ in head):
                head = underlaid(head, self._of_origin(exchange, origin))
        if self.csp is not None:
            head = underlaid(head, self.csp.fields(exchange))
        exchange.head = underlaid(head, self.constant)

    def withdraw(self, exchange: Exchange, headers: Iterable[str]) -> None:
        """Take back what an answer states to an origin, if these fields name one themselves."""
        origin = exchange.fields.get(ORIGIN) if self.fields else None
        if origin is None or not any(
            name.lower().encode("latin-1") == ALLOWED_ORIGIN for name in headers
        ):
            return
        own = self._of_origin(exchange, origin)
        if own and own[0] in exchange.head:
            exchange.head = [pair for pair in exchange.head if pair not in own]

    def _of_origin(self, exchange: Exchange, origin: bytes) -> tuple[Pair, ...]:
        if exchange.status != 204 or not is_preflight(exchange):
            return () if self._cors is None else self._cors.answer_fields(origin)
        # A browser remembers every method that is named, so only those of one policy are.
        requested = exchange.fields[REQUESTED_METHOD].decode("latin-1")
        cors = self._preflights.get(requested, self._cors)
        if cors is None:
            return ()
        methods = [name for name, theirs in self._preflights.items() if theirs is cors]
        return cors.preflight_fields(origin, methods)


@lru_cache(maxsize=256)
def _underlaid(head: tuple[Pair, ...], fields: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """Return fields put together once: most plans of an application have the same."""
    return tuple(underlaid(head, fields))


def is_preflight(exchange: Exchange) -> bool:
    """Answer A2: whether a browser asks if a page may send a request (Fetch, "CORS-preflight")."""
    policy, fields = exchange.plan.policy, exchange.fields
    return (
        policy is not None
        and policy.answers_preflights
        and ORIGIN in fields
        and REQUESTED_METHOD in fields
    )
