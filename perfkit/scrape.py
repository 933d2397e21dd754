"""The server's own figures: its ``/metrics`` while the load runs, as counts and quantiles."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from prometheus_client.parser import text_string_to_metric_families

from perfkit.metrics import REQUEST_DURATION

TIMEOUT_S = 2.0
# The generators and the server are reached directly, whatever proxy the environment names.
_opener = build_opener(ProxyHandler({}))


def fetch(url: str, timeout_s: float = TIMEOUT_S) -> tuple[int, str] | None:
    """Return status and text of a GET, or None when there was no answer."""
    try:
        with _opener.open(url, timeout=timeout_s) as response:
            return int(response.status), response.read().decode("utf-8", "replace")
    except HTTPError as error:
        with error:
            return error.code, ""
    except (OSError, HTTPException):
        return None


@dataclass(slots=True)
class Durations:
    """A Prometheus histogram of one route: how many requests took at most so many seconds.

    *buckets* maps upper bound to cumulative count; the last bound is infinity.
    """

    count: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)

    def since(self, earlier: Durations | None) -> Durations:
        """Return what was observed after *earlier*; a counter that fell was reset."""
        if earlier is None or earlier.count > self.count:
            return self
        return Durations(
            self.count - earlier.count,
            {
                bound: value - earlier.buckets.get(bound, 0.0)
                for bound, value in self.buckets.items()
            },
        )

    def quantile(self, q: float) -> float | None:
        """Estimate the *q* quantile in seconds, as Prometheus does: linear within its bucket.

        None without observations; the highest finite bound for what lies beyond it.
        """
        bounds = sorted(self.buckets)
        if not bounds or self.buckets[bounds[-1]] <= 0:
            return None
        rank = q * self.buckets[bounds[-1]]
        lower, below = 0.0, 0.0
        for bound in bounds:
            upto = self.buckets[bound]
            if upto >= rank and upto > below:
                if math.isinf(bound):
                    return lower
                return lower + (bound - lower) * (rank - below) / (upto - below)
            lower, below = bound, upto
        return lower


Scrape = Mapping[str, Durations]


def parse(text: str) -> dict[str, Durations]:
    """Read the durations by route, ``METHOD template``, of all statuses together.

    Raises:
        ValueError: The text is not in Prometheus's format.
    """
    routes: dict[str, Durations] = {}
    for family in text_string_to_metric_families(text):
        if family.name != REQUEST_DURATION.name:
            continue
        for sample in family.samples:
            method = sample.labels.get("http_request_method", "")
            template = sample.labels.get("http_route", "")
            durations = routes.setdefault(f"{method} {template}", Durations())
            if sample.name == REQUEST_DURATION.count:
                durations.count += sample.value
            elif sample.name == REQUEST_DURATION.bucket:
                bound = float(sample.labels["le"])
                durations.buckets[bound] = durations.buckets.get(bound, 0.0) + sample.value
    return routes


def difference(later: Scrape, earlier: Scrape) -> dict[str, Durations]:
    """Return what each route observed between two scrapes, routes without requests left out."""
    changes = {route: later[route].since(earlier.get(route)) for route in later}
    return {route: change for route, change in changes.items() if change.count}


def merged(routes: Scrape) -> Durations:
    """Return the durations of all routes together."""
    total = Durations()
    for durations in routes.values():
        total.count += durations.count
        for bound, value in durations.buckets.items():
            total.buckets[bound] = total.buckets.get(bound, 0.0) + value
    return total


@dataclass(frozen=True, slots=True)
class ServerSecond:
    """What the server observed between two scrapes."""

    monotonic: float
    requests: float
    p95_ms: float | None


class Scraper(threading.Thread):
    """Reads ``/metrics`` about once a second; only the first and the last text stay."""

    def __init__(self, url: str) -> None:
        super().__init__(name="scraper", daemon=True)
        self.url = url
        self.seconds: list[ServerSecond] = []
        self._halt = threading.Event()
        self.first = self._read()
        self.last = self.first

    def run(self) -> None:
        """Scrape until `finish`."""
        while self.first is not None and not self._halt.wait(1.0):
            self._step()

    def finish(self) -> None:
        """Stop, and take the last figures; call it when no request is on its way."""
        self._halt.set()
        if self.is_alive():
            self.join()
        if self.first is not None:
            self._step()

    @property
    def observed(self) -> dict[str, Durations] | None:
        """What the server observed since this was made, or None if it does not tell."""
        if self.first is None or self.last is None:
            return None
        return difference(self.last, self.first)

    def _step(self) -> None:
        before, now = self.last, self._read()
        if before is None or now is None:
            return
        change = merged(difference(now, before))
        p95 = change.quantile(0.95)
        self.seconds.append(
            ServerSecond(time.monotonic(), change.count, None if p95 is None else p95 * 1000)
        )
        self.last = now

    def _read(self) -> dict[str, Durations] | None:
        answer = fetch(self.url)
        if answer is None or answer[0] != 200:
            return None
        try:
            return parse(answer[1])
        except ValueError:
            return None
