"""Responses that the server keeps and sends again while they are fresh (RFC 9111).

The plan of a route with `@cache_response(server=True)` looks for a stored response where it would
call the handler. What is asked before, of authorization for instance, is asked of every request;
conditions and ranges are then judged by the stored response. What the first of many requests for
the same gets, the others wait for; should it get nothing, one of them goes on in its place.

A request field that asks for a fresh answer (`Cache-Control: no-cache`) changes nothing: such
fields are advice (section 5.2.1), and clients must not be able to make the server work.
"""

from __future__ import annotations

import threading
from asyncio import _get_running_loop as running_loop
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from restmachine.errors import ConfigurationError
from restmachine.exchange import Exchange
from restmachine.flights import Flight, leads
from restmachine.headers import Pair
from restmachine.settings import CacheSettings
from restmachine.storing import Key, Parts, StoredResponse, listed, size_of, stored_form

if TYPE_CHECKING:
    from restmachine.plan import Plan

_CREDENTIALS = frozenset({b"authorization", b"cookie"})

_MARKED_SECONDS = 1.0
"""For how long it is remembered that answers are not for others, since one may be an exception."""

_MOST_FLIGHTS = 3
"""For how many requests another one waits; the last of many must not wait for all that fail."""


class ResponseCache:
    """The stored responses of one route of one application, the last one used last.

    Args:
        vary: The fields by which answers of the route vary, as far as the plan knows.
        public: Answers are for everybody, also where a request tells who sent it.
        clock: Tells seconds, and never goes back.

    Attributes:
        lock: Held while anything here is looked at or changed; never while user code runs.
        clock: Tells seconds.
    """

    def __init__(
        self,
        settings: CacheSettings,
        vary: tuple[bytes, ...],
        public: bool,
        clock: Callable[[], float],
    ) -> None:
        self.lock = threading.Lock()
        self._settings = settings
        self._vary = vary
        self._public = public
        self.clock = clock
        self._stored: OrderedDict[Key, StoredResponse] = OrderedDict()
        self._size = 0
        self._varies: OrderedDict[Hashable, tuple[bytes, ...]] = OrderedDict()
        self._flights: dict[Key, Flight] = {}

    def find(self, exchange: Exchange) -> bool:
        """Answer with a stored response if there is one for a request, on a thread.

        A request whose answer only an event loop is about to make does not wait for it: that
        may itself need a thread, and all could be waiting here.
        """
        if not self._concerns(exchange):
            return False
        validators = _validators(exchange)
        may_wait = running_loop() is None and not leads()
        for _ in range(_MOST_FLIGHTS):
            found = self._seek(exchange, validators, on_thread=True)
            if not isinstance(found, Flight):
                return self._use(exchange, found)
            if not (may_wait and found.on_thread):
                break
            found.wait()
        return self._use(exchange, self._seek_alone(exchange, validators))

    async def find_later(self, exchange: Exchange) -> bool:
        """Answer with a stored response if there is one for a request, on an event loop."""
        if not self._concerns(exchange):
            return False
        validators = _validators(exchange)
        may_wait = not leads()
        for _ in range(_MOST_FLIGHTS):
            found = self._seek(exchange, validators, on_thread=False)
            if not isinstance(found, Flight):
                return self._use(exchange, found)
            if not may_wait:
                break
            await found.wait_later()
        return self._use(exchange, self._seek_alone(exchange, validators))

    def _concerns(self, exchange: Exchange) -> bool:
        """Return whether the answer to a request may be another's.

        RFC 9111 section 3.5 forbids it of Authorization. A cookie may tell who sends it as well,
        to a dependency that is not asked again.
        """
        if not self._public and not _CREDENTIALS.isdisjoint(exchange.fields):
            return False
        return not (exchange.plan.reads_content and exchange.received)

    def _seek(
        self, exchange: Exchange, validators: Hashable, on_thread: bool
    ) -> StoredResponse | Flight | None:
        """Return a fresh response, or who is about to get one; None for who shall get it."""
        now = self.clock()
        with self.lock:
            key = self._key(exchange, validators)
            stored = self._fresh(key, now)
            if stored is not None and stored.content is not None:
                return stored
            if exchange.method == "HEAD":  # its handler need not make any content
                return None
            if stored is None:
                flight = self._flights.get(key)
                if flight is not None:
                    return flight
            exchange.flight = Flight(self, key, exchange, on_thread)
            if stored is None:
                self._flights[key] = exchange.flight
        exchange.unfinished = True
        exchange.closers = exchange.closers or []  # for its end to be told
        return None

    def _seek_alone(self, exchange: Exchange, validators: Hashable) -> StoredResponse | None:
        """Return a fresh response, None for who shall get one for itself, whoever else does."""
        now = self.clock()
        with self.lock:
            key = self._key(exchange, validators)
            stored = self._fresh(key, now)
        return stored if stored is not None and stored.content is not None else None

    def _key(self, exchange: Exchange, validators: Hashable) -> Key:
        target, fields = exchange.target, exchange.fields
        names = self._varies.get(target, self._vary)
        return target, names, tuple([fields.get(name) for name in names]), validators

    def _fresh(self, key: Key, now: float) -> StoredResponse | None:
        stored = self._stored.get(key)
        if stored is None:
            return None
        if now >= stored.fresh_until:
            self._drop(key)
            return None
        self._stored.move_to_end(key)
        return stored

    def _use(self, exchange: Exchange, stored: StoredResponse | None) -> bool:
        if stored is None:
            return False
        age = int(self.clock() - stored.born)
        # What was asked before states its fields of each request.
        former = exchange.response_fields
        head = stored.parts.joined(former.encoded()) if former else stored.head
        exchange.head = [*head, (b"age", b"%d" % age)]
        exchange.content = stored.content
        return True

    def stored_form(
        self, exchange: Exchange, plain: Sequence[Pair], former: Sequence[Pair], key: Key
    ) -> tuple[Key, StoredResponse] | None:
        """Return an answer as this cache stores it, and under which key; None if it may not."""
        now, max_age = self.clock(), self._settings.max_age
        stored = stored_form(exchange, plain, former, key, self._vary, now, max_age)
        fits = stored is not None and stored[1].size <= self._settings.max_bytes
        return stored if fits else None

    def end(
        self,
        flight: Flight,
        response: tuple[Key, StoredResponse] | None,
        is_private: bool,
        now: float,
    ) -> None:
        """Take the end of a flight, the lock being held.

        Args:
            response: What is stored, and under which key.
            is_private: Others wait for an answer that is not for them. They get their own
                without waiting for each other, and so do those who come soon.
            now: The reading of the clock.
        """
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        if response is not None:
            self._put(*response)
        elif is_private:
            until = now + min(self._settings.max_age, _MARKED_SECONDS)
            nothing = Parts((), (), (), ())
            mark = StoredResponse((), nothing, None, now, until, size_of(flight.key))
            self._put(flight.key, mark)

    def _put(self, key: Key, response: StoredResponse) -> None:
        self._drop(key)
        self._stored[key] = response
        self._size += response.size
        self._varies.pop(key[0], None)
        if key[1] != self._vary:
            self._varies[key[0]] = key[1]
        while len(self._stored) > self._settings.entries or self._size > self._settings.max_bytes:
            self._drop(next(iter(self._stored)))
        while len(self._varies) > self._settings.entries:
            self._varies.popitem(last=False)

    def _drop(self, key: Key) -> None:
        dropped = self._stored.pop(key, None)
        if dropped is not None:
            self._size -= dropped.size


def _validators(exchange: Exchange) -> Hashable:
    """Return what must be as it was for a stored response to be the current one."""
    return (exchange.etag, exchange.last_modified) if exchange.plan.validates else None


def cache_of(
    plan: Plan,
    vary: bytes,
    clock: Callable[[], float],
    caches: dict[int, ResponseCache],
) -> ResponseCache | None:
    """Return the cache of a plan's route, None where it has none.

    Args:
        vary: The Vary field of its answers.
        caches: Those of an application by the identity of the route; HEAD uses that of GET.

    Raises:
        ConfigurationError: Answers of the route cannot be for others, or so it seems.
    """
    route, options = plan.route, plan.options
    settings = options.cache_settings
    if route is None or settings is None:
        return None
    if str(route.method) != "GET":
        raise ConfigurationError(
            f"{route} says @cache_response(server=True), but only answers to GET can be stored. "
            "Remove server=True."
        )
    if plan.parses_content or plan.streams_content:
        raise ConfigurationError(
            f"{route} says @cache_response(server=True), but asks for the content of the request, "
            "which may change the answer. Remove server=True, or put it into the query."
        )
    if plan.csp is not None and plan.csp.has_nonce:
        raise ConfigurationError(
            f"{route} says @cache_response(server=True), but each request has a nonce of its own, "
            "which the answer may contain. Remove server=True, or give the route a policy without "
            "a nonce."
        )
    if "multiple_choices" in plan.checks:
        raise ConfigurationError(
            f"{route} says @cache_response(server=True), but may answer with several choices, of "
            "which it is asked after the handler. Remove server=True."
        )
    if plan.protected and not options.cache_public:
        kind = "authorized" if "authorized" in plan.checks else "forbidden"
        raise ConfigurationError(
            f'{route} says @cache_response(server=True), but "{plan.checks[kind][0].need.name}" '
            "lets only some have the answer. Add public=True to say that all of these get the "
            "same, or remove server=True."
        )
    if id(route) not in caches:
        names = tuple(sorted(name.encode() for name in listed([(b"vary", vary)], b"vary")))
        caches[id(route)] = ResponseCache(settings, names, options.cache_public, clock)
    return caches[id(route)]
