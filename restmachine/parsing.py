"""Content of requests into data: JSON, text, URL-encoded forms, and the user's own parsers.

Where there is no content, the data is None.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from restmachine.errors import (
    AcceptsParsingError,
    ClientDisconnected,
    ConfigurationError,
    ContentTooLarge,
    HTTPError,
    UnsupportedMediaType,
)
from restmachine.recipes import Function, Kind, Recipe
from restmachine.representations import (
    FORM,
    TEXT,
    charset_of,
    decode_json,
    decode_text,
    essence,
)
from restmachine.validation import is_validation_error

if TYPE_CHECKING:
    from restmachine.exchange import Exchange

logger = logging.getLogger("restmachine")

Form = dict[str, Any]
"""The values of a form by name: one value, or a list where a name was sent repeatedly."""


def json_content(exchange: Exchange) -> Any:
    """Return the content as JSON data, whatever media type it claims to be.

    Raises:
        BadRequest: It is not JSON.
    """
    content = exchange.received
    return decode_json(content) if content else None


def text_content(exchange: Exchange) -> str | None:
    """Return the content as text."""
    content = exchange.received
    return decode_text(content, exchange.field(b"content-type")) if content else None


def form_content(exchange: Exchange) -> Form | None:
    """Return a URL-encoded form; blank values are kept.

    Raises:
        UnsupportedMediaType: The content is of a media type that holds no such form.
        ContentTooLarge: It has more fields than the application takes.
    """
    content = exchange.received
    if not content:
        return None
    content_type = exchange.field(b"content-type")
    if essence(content_type) not in (FORM, TEXT):
        raise UnsupportedMediaType(f"Send the form as {FORM}.")
    if content.count(b"&") >= exchange.plan.max_form_fields:
        raise too_many_fields(exchange)
    text = decode_text(content, content_type)
    form: Form = {}
    charset = charset_of(content_type) or "utf-8"
    for name, value in parse_qsl(text, keep_blank_values=True, encoding=charset):
        put_value(form, name, value)
    return form


def too_many_fields(exchange: Exchange) -> ContentTooLarge:
    """Return the refusal of a form with more fields than the application takes."""
    return ContentTooLarge(f"A form has at most {exchange.plan.max_form_fields} fields.")


def put_value(form: Form, name: str, value: Any) -> None:
    """Add a value to a form; a repeated name makes a list."""
    if name not in form:
        form[name] = value
    elif isinstance(form[name], list):
        form[name].append(value)
    else:
        form[name] = [form[name], value]


def parser_recipe(function: Function, media_type: str) -> tuple[str, Recipe]:
    """Return what a parser parses, in lower case, and its recipe.

    What it raises means that the content is at fault.

    Raises:
        ConfigurationError: It is a generator, or the media type is none.
    """
    parsed = essence(media_type)
    recipe = Recipe(function)
    if parsed is None or "*" in parsed:
        raise ConfigurationError(
            f'"{media_type}" is not a media type that {recipe} can parse: '
            'give one such as "text/csv".'
        )
    if recipe.kind in (Kind.GENERATOR, Kind.ASYNC_GENERATOR):
        raise ConfigurationError(f"{recipe} parses content, so it must return and not yield.")
    recipe.function = _within(lambda: _refusing(recipe.name), recipe)
    return parsed, recipe


@contextmanager
def _refusing(parser: str) -> Iterator[None]:
    try:
        yield
    except (HTTPError, ClientDisconnected):
        raise
    except Exception as error:
        if is_validation_error(error):
            raise
        logger.warning('The parser "%s" refused content', parser, exc_info=error)
        raise AcceptsParsingError("The content could not be parsed.", error) from error


def _within(guard: Callable[[], AbstractContextManager[None]], recipe: Recipe) -> Function:
    """Return the function of a recipe, each call of it within a context of its own."""
    function = recipe.function
    if recipe.kind is Kind.COROUTINE:

        @wraps(function)
        async def later(*args: Any, **named: Any) -> Any:
            with guard():
                return await function(*args, **named)

        return later

    @wraps(function)
    def now(*args: Any, **named: Any) -> Any:
        with guard():
            return function(*args, **named)

    return now


def model_recipe(function: Function) -> Recipe:
    """Return the recipe of a function that must return what Pydantic validates."""
    recipe = Recipe(function)

    def verify(value: Any) -> bool:
        if hasattr(value, "__pydantic_validator__"):
            return True
        raise TypeError(
            f'@app.validates expects a Pydantic model from "{recipe.name}", '
            f"which returned {type(value).__name__}."
        )

    if recipe.kind in (Kind.COROUTINE, Kind.PLAIN):
        recipe.verify = verify
    return recipe
