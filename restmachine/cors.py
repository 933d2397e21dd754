"""Who may read answers from pages of other origins (Fetch standard, "CORS protocol").

A `CORSConfig` is what a developer states. It is checked there, so that no answer to a request
can find it wrong, and what can be written then is written then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from restmachine.errors import InvalidPolicyError
from restmachine.headers import Pair

ORIGIN = b"origin"
REQUESTED_METHOD = b"access-control-request-method"
ALLOWED_ORIGIN = b"access-control-allow-origin"
_ALLOWED_METHODS = b"access-control-allow-methods"
_ALLOWED_HEADERS = b"access-control-allow-headers"
_EXPOSED_HEADERS = b"access-control-expose-headers"
_CREDENTIALS = b"access-control-allow-credentials"
_MAX_AGE = b"access-control-max-age"

ANY = "*"
DEFAULT_ALLOW_HEADERS = (
    "Accept",
    "Accept-Language",
    "Content-Type",
    "Content-Language",
    "Authorization",
    "X-Requested-With",
)
DEFAULT_EXPOSE_HEADERS = ("Content-Length", "Content-Type", "ETag", "Location", "X-Request-ID")

# A serialised origin; what is not one is never sent back, whoever is allowed.
_is_origin = re.compile(r"null|[A-Za-z][A-Za-z0-9+.-]*://[!#-+.0-~-]*").fullmatch
_is_stated_origin = re.compile(r"null|[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?")
_MOST_PORT = 65535
_is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class HasMethods(Protocol):
    """Knows which methods its paths answer, as a `Router` does."""

    def get_methods_for_path(self, path: str) -> list[str]:
        """Return the methods of a path."""


@dataclass(frozen=True)
class CORSConfig:
    """Which origins may read answers, and what they may ask for.

    Attributes:
        origins: One origin or several, ``"*"`` for all. An origin is a scheme, a host, and the
            port unless it is that of the scheme.
        methods: What a preflight allows; the methods of the path unless given.
        allow_headers: Request fields that a preflight allows.
        expose_headers: Response fields that a page may read.
        credentials: Whether a page may read answers to requests with cookies.
        max_age: For how many seconds a browser may keep the answer to a preflight.
        reflect_any_origin: Says that all origins may have credentials, which is dangerous.

    Raises:
        InvalidPolicyError: This cannot be, or would never do what it seems to.
    """

    origins: str | Sequence[str]
    methods: Sequence[str] | None = None
    allow_headers: Sequence[str] | None = None
    expose_headers: Sequence[str] | None = None
    credentials: bool = False
    max_age: int = 86400
    reflect_any_origin: bool = False

    def __post_init__(self) -> None:
        self.validate()
        origins = (self.origins,) if isinstance(self.origins, str) else self.origins
        self._put("origins", tuple(origin.lower() for origin in origins))
        if self.methods is not None:
            self._put("methods", tuple(dict.fromkeys(name.upper() for name in self.methods)))
        for name, default in (
            ("allow_headers", DEFAULT_ALLOW_HEADERS),
            ("expose_headers", DEFAULT_EXPOSE_HEADERS),
        ):
            given = getattr(self, name)
            self._put(name, default if given is None else tuple(given))

    def _put(self, name: str, value: tuple[str, ...]) -> None:
        object.__setattr__(self, name, value)

    def validate(self) -> None:
        """Look at what was stated.

        Raises:
            InvalidPolicyError: It cannot be.
        """
        origins = (self.origins,) if isinstance(self.origins, str) else self.origins
        if not _is_list_of_texts(origins) or not origins:
            raise InvalidPolicyError(
                f"CORS was given origins={self.origins!r}: say which origins may read the answers, "
                'such as ["https://app.example.org"], or "*" for all.'
            )
        for origin in origins:
            _check_origin(origin)
        if ANY in origins and len(origins) > 1:
            raise InvalidPolicyError('CORS was given "*" beside other origins: "*" is all of them.')
        for name in ("methods", "allow_headers", "expose_headers"):
            _check_tokens(name, getattr(self, name))
        if self.methods is not None and not self.methods:
            raise InvalidPolicyError(
                "CORS was given methods=[]: name one, or leave it out to allow those of the path."
            )
        for name in ("credentials", "reflect_any_origin"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidPolicyError(
                    f"CORS was given {name}={getattr(self, name)!r}: say True or False."
                )
        if not isinstance(self.max_age, int) or isinstance(self.max_age, bool) or self.max_age < 0:
            raise InvalidPolicyError(
                f"CORS was given max_age={self.max_age!r}: give whole seconds, 0 or more."
            )
        if self.credentials:
            self._check_credentials(origins)

    def _check_credentials(self, origins: Sequence[str]) -> None:
        if ANY in origins and not self.reflect_any_origin:
            raise InvalidPolicyError(
                'CORS was given "*" with credentials=True, so that every page could act as your '
                "users: name the origins, or say reflect_any_origin=True if that is meant."
            )
        if "null" in origins and not self.reflect_any_origin:
            raise InvalidPolicyError(
                'CORS was given "null" with credentials=True, an origin that every page can have '
                "in a frame: leave it out, or say reflect_any_origin=True if that is meant."
            )
        for name in ("methods", "allow_headers", "expose_headers"):
            if ANY in (getattr(self, name) or ()):
                raise InvalidPolicyError(
                    f'CORS was given {name}=["*"] with credentials=True, where browsers take "*" '
                    "for a name like any other: name each."
                )

    def matches_origin(self, origin: str) -> bool:
        """Return whether pages of an origin may read the answers."""
        known = self._known_origins
        return (origin in known or ANY in known) and bool(_is_origin(origin))

    def get_allowed_methods(self, path: str, router: HasMethods) -> list[str]:
        """Return the methods that a preflight for a path allows."""
        return router.get_methods_for_path(path) if self.methods is None else list(self.methods)

    def answer_fields(self, origin: bytes) -> tuple[Pair, ...]:
        """Return what an answer states to an origin; nothing to one that may not read it."""
        if not self.matches_origin(origin.decode("latin-1")):
            return ()
        return ((ALLOWED_ORIGIN, origin), *self._of_answers)

    def preflight_fields(self, origin: bytes, methods: Iterable[str]) -> tuple[Pair, ...]:
        """Return what the answer to a preflight states, with the methods unless given."""
        if not self.matches_origin(origin.decode("latin-1")):
            return ()
        allowed = ", ".join(methods if self.methods is None else self.methods)
        return (
            (ALLOWED_ORIGIN, origin),
            (_ALLOWED_METHODS, allowed.encode("latin-1")),
            *self._of_preflights,
        )

    @cached_property
    def _known_origins(self) -> frozenset[str]:
        return frozenset(self.origins)

    @cached_property
    def _of_answers(self) -> tuple[Pair, ...]:
        exposed = ((_EXPOSED_HEADERS, _joined(self.expose_headers)),)
        return (*self._with_credentials, *(exposed if self.expose_headers else ()))

    @cached_property
    def _of_preflights(self) -> tuple[Pair, ...]:
        allowed = ((_ALLOWED_HEADERS, _joined(self.allow_headers)),)
        return (
            *self._with_credentials,
            *(allowed if self.allow_headers else ()),
            (_MAX_AGE, b"%d" % self.max_age),
        )

    @property
    def _with_credentials(self) -> tuple[Pair, ...]:
        return ((_CREDENTIALS, b"true"),) if self.credentials else ()


def _joined(names: Sequence[str] | None) -> bytes:
    return ", ".join(names or ()).encode("latin-1")


def _is_list_of_texts(values: Any) -> bool:
    return isinstance(values, (list, tuple, set, frozenset)) and all(
        isinstance(value, str) for value in values
    )


def _check_origin(origin: str) -> None:
    """Look at an origin as it was stated; browsers compare it as a whole."""
    lowered = origin.lower()
    if origin == ANY:
        return
    if not _is_stated_origin.fullmatch(lowered):
        hint = "an origin is a scheme, a host and perhaps a port, such as https://app.example.org"
        if "*" in origin:
            hint = 'only "*" alone stands for several, so name each origin'
        elif (found := _is_stated_origin.match(lowered)) and origin[found.end() :][:1] == "/":
            hint = f'browsers send no path, so say "{origin[: found.end()]}"'
        raise InvalidPolicyError(f"CORS was given the origin {origin!r}: {hint}.")
    _check_port(origin)
    scheme, _, rest = lowered.partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    if port is not None and rest.endswith(f":{port}"):
        raise InvalidPolicyError(
            f"CORS was given the origin {origin!r}: browsers leave out the port of the scheme, "
            f'so say "{origin[: -len(port) - 1]}".'
        )


def _check_port(origin: str) -> None:
    _host, colon, port = origin.rpartition(":")
    if not colon or not port.isdecimal():
        return
    if port.startswith("0") or len(port) > 5 or int(port) > _MOST_PORT:
        raise InvalidPolicyError(
            f"CORS was given the origin {origin!r}: a port is 1 to {_MOST_PORT}, without zeros in "
            "front."
        )


def _check_tokens(name: str, values: Any) -> None:
    if values is None:
        return
    if not _is_list_of_texts(values):
        hint = ""
        if isinstance(values, str):
            hint = f", such as [{values!r}]"
            if _is_stated_origin.match(values.lower()):
                hint = ". Several origins are a list, too"
        raise InvalidPolicyError(f"CORS was given {name}={values!r}: give a list of names{hint}.")
    for value in values:
        if not _is_token(value):
            raise InvalidPolicyError(f"CORS was given {value!r} among its {name}: it is no name.")
