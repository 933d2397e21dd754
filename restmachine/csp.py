"""What a page may load and run (Content Security Policy Level 3).

A `CSPConfig` is what a developer states, checked there. One without a nonce and without functions
is a constant field, which belongs to a plan; any other is asked once for each request.
"""

from __future__ import annotations

import inspect
import logging
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from restmachine.errors import InvalidPolicyError, RequestHeaderFieldsTooLarge
from restmachine.headers import Pair
from restmachine.recipes import Kind, kind_of

if TYPE_CHECKING:
    from restmachine.exchange import Exchange
    from restmachine.request import Request

Sources = Sequence[str] | Callable[[], Sequence[str]] | None
"""What a directive allows, or a function that tells it of every response."""

logger = logging.getLogger("restmachine")

DIRECTIVES = (
    "default_src",
    "script_src",
    "style_src",
    "img_src",
    "font_src",
    "connect_src",
    "frame_src",
    "object_src",
    "media_src",
    "worker_src",
    "base_uri",
    "form_action",
)
_WITH_NONCE = ("script_src", "style_src")
_NONCE_BYTES = 32

_KEYWORDS = (
    "self",
    "unsafe-inline",
    "unsafe-eval",
    "none",
    "strict-dynamic",
    "unsafe-hashes",
    "report-sample",
    "unsafe-allow-redirects",
    "wasm-unsafe-eval",
)
_NONE = "'none'"
_is_nonce = re.compile(r"nonce-[A-Za-z0-9+/_-]+={0,2}").fullmatch
# The digests have a length each, by which a host that is called sha256-something is none.
_is_hash = re.compile(
    "|".join(
        rf"sha{bits}-[A-Za-z0-9+/_-]{{{length}}}={{0,2}}"
        for bits, length in ((256, 43), (384, 64), (512, 86))
    )
).fullmatch
_is_source = re.compile(r"[!-+\--:<-~]+").fullmatch  # visible, neither comma nor semicolon
_is_nonce_value = re.compile(r"[A-Za-z0-9+/_-]+={0,2}").fullmatch
_looks_like_keyword = re.compile(r"[a-z_-]+").fullmatch
_is_in_quotes = re.compile(r"'[^'\"]+'").fullmatch
_SCHEMES = ("blob", "data", "filesystem", "http", "https", "mediastream", "ws", "wss")
_LONG = 5  # of these letters, or more, is no host by chance what a keyword nearly is


class CSPPreset(Enum):
    """Policies to start from; a directive that is stated beside one goes before its own."""

    STRICT = "strict"
    BASIC = "basic"
    RELAXED = "relaxed"
    DEVELOPMENT = "development"


_PRESETS: Mapping[CSPPreset, Mapping[str, tuple[str, ...]]] = {
    CSPPreset.STRICT: {
        "default_src": ("self",),
        "object_src": ("none",),
        "base_uri": ("self",),
        "form_action": ("self",),
    },
    CSPPreset.BASIC: {"default_src": ("self",)},
    CSPPreset.RELAXED: {
        "default_src": ("self",),
        "style_src": ("self", "unsafe-inline"),
        "img_src": ("self", "data:", "https:"),
    },
    CSPPreset.DEVELOPMENT: {
        "default_src": ("self",),
        "script_src": ("self", "unsafe-inline", "unsafe-eval"),
        "style_src": ("self", "unsafe-inline"),
    },
}


@dataclass(frozen=True, kw_only=True)
class CSPConfig:
    """What pages may load, by directive.

    Each directive is a list of sources, or a function without parameters that gives one for every
    response. Keywords, nonces and hashes are quoted; an empty list allows nothing.

    Attributes:
        nonce: Whether each request has a fresh `request.csp_nonce`, which script_src and style_src
            allow where these are stated.
        report_uri: Where browsers report to.
        report_only: Whether they only report.
        preset: What the directives that are not stated are taken from.

    Raises:
        InvalidPolicyError: This cannot be, or would never do what it seems to.
    """

    default_src: Sources = None
    script_src: Sources = None
    style_src: Sources = None
    img_src: Sources = None
    font_src: Sources = None
    connect_src: Sources = None
    frame_src: Sources = None
    object_src: Sources = None
    media_src: Sources = None
    worker_src: Sources = None
    base_uri: Sources = None
    form_action: Sources = None
    nonce: bool = False
    report_uri: str | None = None
    report_only: bool = False
    preset: CSPPreset | None = None

    def __post_init__(self) -> None:
        for name in DIRECTIVES:
            sources = getattr(self, name)
            if sources is None:
                continue
            if not callable(sources):
                object.__setattr__(self, name, _checked(name, sources))
            elif kind_of(sources) is not Kind.PLAIN or not _takes_nothing(sources):
                raise InvalidPolicyError(
                    f"CSP was given an async function, a generator or a function with parameters "
                    f"for {name}: use a plain function without any, or @app.csp_provider."
                )
        if self.report_uri is not None and not (
            isinstance(self.report_uri, str) and _is_source(self.report_uri)
        ):
            raise InvalidPolicyError(
                f"CSP was given report_uri={self.report_uri!r}: give a URI without spaces, commas "
                "and semicolons."
            )
        preset: object = self.preset
        if preset is not None and not isinstance(preset, CSPPreset):
            known = ", ".join(f"CSPPreset.{each.name}" for each in CSPPreset)
            raise InvalidPolicyError(f"CSP was given preset={preset!r}: use one of {known}.")
        for name in ("nonce", "report_only"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidPolicyError(
                    f"CSP was given {name}={getattr(self, name)!r}: say True or False."
                )

    def check_stated(self) -> None:
        """Look at it as the policy of a level or a route; a provider may give less.

        Raises:
            InvalidPolicyError: It says nothing, or has a nonce that nothing allows.
        """
        if self.report_uri is None and not any(map(self._states, DIRECTIVES)):
            raise InvalidPolicyError(
                'CSP was given nothing to state: name a directive, such as default_src=["self"], '
                "or a preset."
            )
        if self.nonce and not any(map(self._states, _WITH_NONCE)):
            raise InvalidPolicyError(
                "CSP was given nonce=True, but the nonce is allowed by script_src and style_src "
                'alone: state one of these, such as script_src=["self"].'
            )

    def _states(self, name: str) -> bool:
        return getattr(self, name) is not None or (
            self.preset is not None and name in _PRESETS[self.preset]
        )

    def header_name(self) -> str:
        """Return the name of the field."""
        only = self.report_only or self.preset is CSPPreset.DEVELOPMENT
        return "Content-Security-Policy-Report-Only" if only else "Content-Security-Policy"

    def build_header(self, nonce_value: str | None = None) -> str:
        """Return the value of the field, empty if it states nothing.

        Raises:
            InvalidPolicyError: A function gave what is no list of sources.
        """
        if nonce_value is not None and not _is_nonce_value(nonce_value):
            raise InvalidPolicyError(f"{nonce_value!r} is no nonce: it must be base64.")
        directives = []
        for name in DIRECTIVES:
            stated = self._sources_of(name)
            if stated is None:
                continue
            sources = [_quoted(source) for source in stated] or [_NONE]
            # Beside other sources 'none' means nothing, so it would allow the nonce.
            if self.nonce and nonce_value and name in _WITH_NONCE and sources != [_NONE]:
                sources.append(f"'nonce-{nonce_value}'")
            directives.append(" ".join([name.replace("_", "-"), *sources]))
        if self.report_uri is not None:
            directives.append(f"report-uri {self.report_uri}")
        return "; ".join(directives)

    def _sources_of(self, name: str) -> Sequence[str] | None:
        sources = getattr(self, name)
        if sources is None:
            return None if self.preset is None else _PRESETS[self.preset].get(name)
        return _checked(name, sources()) if callable(sources) else sources

    @property
    def is_constant(self) -> bool:
        """Whether every response is sent the same."""
        return not self.nonce and not any(callable(getattr(self, name)) for name in DIRECTIVES)

    def fields(self, nonce: str | None = None) -> tuple[Pair, ...]:
        """Return the field as it is sent; none if it states nothing."""
        value = self.build_header(nonce)
        name = self.header_name().lower().encode()
        return ((name, value.encode("latin-1")),) if value else ()

    @cached_property
    def constant_fields(self) -> tuple[Pair, ...]:
        """The field of one that is constant."""
        return self.fields()


_NOTHING_ALLOWED = ((b"content-security-policy", b"default-src 'none'"),)
"""Is stated where a policy cannot be told: a failure must not allow more than was meant."""

Provider = Callable[["Request"], CSPConfig | None]


class Asked:
    """The policy of one request.

    Attributes:
        config: What was stated for it, None for nothing.
        nonce: Its nonce, None without one.
        fields: The fields, once they have been made.
    """

    __slots__ = ("config", "fields", "nonce")

    def __init__(self, config: CSPConfig | None, fields: tuple[Pair, ...] | None = None) -> None:
        self.config = config
        self.fields = fields
        has_nonce = config is not None and config.nonce
        self.nonce = secrets.token_urlsafe(_NONCE_BYTES) if has_nonce else None


class AskedCSP:
    """The policy of a plan which each request is asked for, once.

    Args:
        config: What holds where the provider gives nothing.
        provider: Gives the policy for a request; None leaves it to the other.
    """

    __slots__ = ("_config", "_provider")

    def __init__(self, config: CSPConfig | None, provider: Provider | None) -> None:
        self._config = config
        self._provider = provider

    @property
    def has_nonce(self) -> bool:
        """Whether every request certainly has a nonce."""
        return self._provider is None and self._config is not None and self._config.nonce

    def begin(self, exchange: Exchange, request: Request) -> None:
        """Ask for the policy of a request that was just made, and give it the nonce."""
        asked = exchange.csp
        if asked is None:
            asked = exchange.csp = self._ask(request)
        if asked.nonce is not None:
            request.csp_nonce = asked.nonce

    def fields(self, exchange: Exchange) -> tuple[Pair, ...]:
        """Return what the response states."""
        if exchange.csp is None:
            exchange.csp = self._ask_late(exchange)
        asked = exchange.csp
        # A 304, and an answer to HEAD, would put the nonce of a page that is not sent in place of
        # the one in the page that a cache keeps (RFC 9111 sections 3.2 and 4.3.5). HEAD may go
        # without, as the nonce is made with the content (RFC 9110 section 9.3.2).
        if asked.nonce is not None and (exchange.status == 304 or exchange.method == "HEAD"):
            return ()
        if asked.fields is None:
            asked.fields = _fields_of(asked)
        return asked.fields

    def _ask_late(self, exchange: Exchange) -> Asked:
        """Ask for the policy of a request for which nothing wanted the message."""
        if self._provider is None:
            return Asked(self._config)
        try:
            self.begin(exchange, exchange.message)
        except RequestHeaderFieldsTooLarge:
            return self._unprovided()
        assert exchange.csp is not None
        return exchange.csp

    def _ask(self, request: Request) -> Asked:
        if self._provider is None:
            return Asked(self._config)
        try:
            config = self._provider(request)
            if config is not None and not isinstance(config, CSPConfig):
                raise InvalidPolicyError(f"It gave {config!r}: return a CSPConfig, or None.")
        except Exception:
            name = getattr(self._provider, "__qualname__", repr(self._provider))
            logger.exception('The CSP provider "%s" failed', name)
            return self._unprovided()
        return Asked(self._config if config is None else config)

    def _unprovided(self) -> Asked:
        return Asked(self._config, _NOTHING_ALLOWED if self._config is None else None)


def _fields_of(asked: Asked) -> tuple[Pair, ...]:
    if asked.config is None:
        return ()
    try:
        return asked.config.fields(asked.nonce)
    except Exception:
        logger.exception("A content security policy cannot be told, so nothing is allowed")
        enforced = asked.config.header_name() == "Content-Security-Policy"
        return _NOTHING_ALLOWED if enforced else ()


def _takes_nothing(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    except ValueError:  # a built-in that does not tell
        return True
    return True


def _checked(name: str, sources: Any) -> tuple[str, ...]:
    """Return the sources of a directive.

    Raises:
        InvalidPolicyError: One cannot be sent, or means something else than it seems to.
    """
    if not isinstance(sources, (list, tuple)):
        hint = f", such as [{sources!r}]" if isinstance(sources, str) else ""
        raise InvalidPolicyError(
            f"CSP was given {name}={sources!r}: give a list of sources{hint}, or a function."
        )
    for source in sources:
        if not isinstance(source, str) or not _is_source(source):
            raise InvalidPolicyError(
                f"CSP was given {source!r} in {name}: a source has no spaces, commas, semicolons "
                "and is ASCII."
            )
        _check_spelling(name, source)
    if len(sources) > 1 and any(_quoted(source) == _NONE for source in sources):
        raise InvalidPolicyError(f'CSP was given "none" in {name} beside others: it stands alone.')
    return tuple(sources)


def _check_spelling(name: str, source: str) -> None:
    """Look at a word that a browser would take for a host, or for nothing at all."""
    is_quoted = _is_in_quotes(source) is not None
    if not is_quoted and (source[0] in "'\"" or source[-1] in "'\""):
        raise InvalidPolicyError(
            f"CSP was given {source!r} in {name}: quotes are single ones around the whole source; "
            "keywords may go without."
        )
    bare = source.strip("'").lower()
    if bare in _KEYWORDS or not _looks_like_keyword(bare):
        return
    meant = f"{bare}:" if bare in _SCHEMES else _nearest_keyword(bare, is_quoted)
    if meant is not None:
        raise InvalidPolicyError(
            f'CSP was given "{source}" in {name}: did you mean "{meant}"? A host of that name '
            "is told apart by its scheme."
        )


def _nearest_keyword(word: str, is_quoted: bool) -> str | None:
    """Return the keyword that was meant, None if the word may well be a host.

    What is quoted is none. Of short words many are near to a keyword, such as ``shelf`` and
    ``node``, so these must have its very letters.
    """
    for near in get_close_matches(word.replace("_", "-"), _KEYWORDS, cutoff=0.75):
        if is_quoted or len(near) >= _LONG or set(word) == set(near):
            return near
    return None


def _quoted(source: str) -> str:
    bare = source[1:-1] if _is_in_quotes(source) else source
    if bare.lower() in _KEYWORDS:
        return f"'{bare.lower()}'"
    return f"'{source}'" if _is_nonce(source) or _is_hash(source) else source
