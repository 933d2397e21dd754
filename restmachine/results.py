"""What a handler's result goes through where a route asks for more than to send it.

That is the model which the handler declares to return, and the renderers that the route
provides itself. Plans without either take a result as it is.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, NamedTuple

from restmachine.dependencies import Call, Source, Wiring
from restmachine.errors import InvalidResponseError
from restmachine.exchange import Exchange
from restmachine.headers import MultiValueHeaders
from restmachine.outcome import take
from restmachine.problems import ErrorBody
from restmachine.representations import JSON
from restmachine.response import Response
from restmachine.routing import Route
from restmachine.validation import ReturnedModel, returned_model


class RouteRenderer(NamedTuple):
    """A renderer which a route provides itself, and how its content is described."""

    call: Call
    content_type: str
    charset: str | None


class ResultKeeper:
    """Takes what a handler returned, checks it against its model, and renders it."""

    def __init__(
        self,
        model: ReturnedModel | None,
        renderers: Mapping[str, RouteRenderer],
        default: str,
        general: Container[str],
    ) -> None:
        self._model = model
        self._renderers = renderers
        self._default = default
        self._general = general
        calls = [renderer.call for renderer in renderers.values()]
        self.blocks = any(call.blocks or call.before.blocks for call in calls)
        self.awaits = any(call.kind.is_async or call.before.awaits for call in calls)

    def keep(self, exchange: Exchange, value: Any) -> None:
        """Take a handler's result on a thread that may block."""
        renderer = self._take(exchange, value)
        if renderer is not None:
            try:
                rendered = renderer.call.run(exchange)
            except ValueError as error:
                raise _cannot_render(renderer) from error
            _use(exchange, renderer, rendered)

    async def keep_later(self, exchange: Exchange, value: Any) -> None:
        """Take a handler's result on the event loop."""
        renderer = self._take(exchange, value)
        if renderer is not None:
            try:
                await renderer.call.before.run(exchange)
                rendered = await renderer.call.run_async(exchange)
            except ValueError as error:
                raise _cannot_render(renderer) from error
            _use(exchange, renderer, rendered)

    def _take(self, exchange: Exchange, value: Any) -> RouteRenderer | None:
        """Take a result, and return the renderer that it is to go through."""
        take(exchange, value)
        self._state_choice(exchange)
        own = exchange.own_headers
        if exchange.result is None or isinstance(value, (Response, ErrorBody)):
            return None
        if own is not None and "Content-Type" in own:
            return None
        if exchange.own_status is not None and exchange.own_status >= 400:
            self._pass_over(exchange)
            return None
        renderer = self._renderers.get(exchange.media_type or self._default)
        if self._model is not None:
            fields = self._model.fields_of(exchange.result)
            if renderer is None:  # one of the route's own gets what the handler made
                exchange.result = fields
        return renderer

    def _state_choice(self, exchange: Exchange) -> None:
        """State the language that was chosen, unless the handler states one itself.

        A coding is not stated: only the handler knows whether it did encode its content.
        """
        options = exchange.plan.options
        if options.charsets:  # own fields have the answer's charset looked at
            exchange.own_headers = MultiValueHeaders(exchange.own_headers)
        if options.languages and (exchange.own_status or 200) < 300:
            language = exchange.language or options.languages[0]
            exchange.response_headers.setdefault("Content-Language", language)

    def _pass_over(self, exchange: Exchange) -> None:
        """Leave an error to the general renderers: those of the route render its results."""
        chosen = exchange.media_type or self._default
        if chosen in self._renderers:
            exchange.media_type = chosen if chosen in self._general else JSON


def _cannot_render(renderer: RouteRenderer) -> InvalidResponseError:
    return InvalidResponseError(f'"{renderer.call.name}" cannot render the handler\'s result.')


def _use(exchange: Exchange, renderer: RouteRenderer, rendered: Any) -> None:
    if isinstance(rendered, Response):
        exchange.own_status = exchange.own_headers = None
        take(exchange, rendered)
        return
    if isinstance(rendered, str) and renderer.charset is not None:
        rendered = rendered.encode(renderer.charset)
    exchange.result = rendered
    exchange.own_headers = MultiValueHeaders(exchange.own_headers)
    exchange.own_headers["Content-Type"] = renderer.content_type


def find_renderers(wiring: Wiring, route: Route, handler: Call) -> dict[str, RouteRenderer]:
    """Return the renderers that a route provides, by media type.

    A parameter named like the handler gets the handler's result.
    """
    own = {handler.name: Source(lambda exchange: exchange.result)}
    return {
        provided.media_type: RouteRenderer(
            wiring.call(provided.recipe, f"the renderer {provided.recipe} of {route}", own=own),
            provided.content_type,
            provided.charset,
        )
        for provided in route.renderers
    }


def build_keeper(
    route: Route, renderers: Mapping[str, RouteRenderer], default: str, general: Container[str]
) -> ResultKeeper | None:
    """Return what takes a route's results, None where they are taken as they are.

    Args:
        default: The media type of an answer for which none was negotiated.
        general: The media types for which there are renderers of every route.
    """
    model = returned_model(route.handler)
    if model is None and not (renderers or route.options.languages or route.options.charsets):
        return None
    return ResultKeeper(model, renderers, default, general)
