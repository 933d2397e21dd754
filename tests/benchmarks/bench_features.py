"""What a feature costs the route that uses it, and the routes beside it: nothing.

Three rows tell: ``on``, ``off`` in the same application, and `bench_never`, the same route of an
application that never heard of the feature, which is one row for all. Off must be as fast; only
an error handler of the whole application has each answer looked at, which is about 2 % of this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import features
from driving import Client, LoopClient
from features import PLAIN, USED, Feature

from restmachine import ASGIAdapter


class LeavingClient(LoopClient):
    """A client that stays until it has the answer, as streams want it."""

    async def _receive(self) -> Any:
        return await self._loop.create_future()


def _on(benchmark: Callable[..., Any], feature: Feature, status: int = 200) -> None:
    sent = features.SENT.get(feature.__name__, ())
    client = Client(ASGIAdapter(features.application(feature)), "GET", USED, sent)
    assert client.answer().status == status

    benchmark(client)


def _off(benchmark: Callable[..., Any], feature: Feature | None) -> None:
    client = Client(ASGIAdapter(features.application(feature)), "GET", PLAIN)
    assert client.answer().body == b'{"message":"hi!"}'

    benchmark(client)


def bench_never(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, None)


def bench_default_headers_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.default_headers)


def bench_default_headers_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.default_headers)


def bench_error_handler_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.error_handler, 404)


def bench_error_handler_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.error_handler)


def bench_entity_tag_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.entity_tag)


def bench_entity_tag_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.entity_tag)


def bench_generator_dependency_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.generator_dependency)


def bench_generator_dependency_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.generator_dependency)


def bench_resource_exists_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.resource_exists)


def bench_resource_exists_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.resource_exists)


def bench_cached_response_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.cached_response)


def bench_cached_response_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.cached_response)


def bench_renderers_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.renderers)


def bench_renderers_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.renderers)


def bench_request_id_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.request_id)


def bench_request_id_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.request_id)


def bench_streamed_body_on(benchmark: Callable[..., Any]) -> None:
    app = ASGIAdapter(features.application(features.streamed_body))
    client = LeavingClient(app, "GET", USED)
    assert client.answer().body == b"hi!"

    benchmark(client)


def bench_streamed_body_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.streamed_body)


def bench_max_content_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.max_content)


def bench_max_content_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.max_content)


def bench_languages_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.languages)


def bench_languages_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.languages)


def bench_bypassed_decisions_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.bypassed_decisions)


def bench_bypassed_decisions_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.bypassed_decisions)


def bench_skipped_negotiation_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.skipped_negotiation)


def bench_skipped_negotiation_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.skipped_negotiation)


def bench_skipped_authorization_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.skipped_authorization)


def bench_skipped_authorization_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.skipped_authorization)


def bench_authorization_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.authorization)


def bench_authorization_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.authorization)


def bench_csp_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.csp)


def bench_csp_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.csp)


def bench_csp_nonce_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.csp_nonce)


def bench_csp_nonce_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.csp_nonce)


def bench_cors_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.cors)


def bench_cors_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.cors)


def bench_cors_from_origin_on(benchmark: Callable[..., Any]) -> None:
    _on(benchmark, features.cors_from_origin)


def bench_observer_on(benchmark: Callable[..., Any]) -> None:
    client = Client(ASGIAdapter(features.listening_observer()), "GET", PLAIN)
    assert client.answer().status == 200

    benchmark(client)


def bench_observed_dependency(benchmark: Callable[..., Any]) -> None:
    observed = features.listening_observer(features.generator_dependency)
    client = Client(ASGIAdapter(observed), "GET", USED)
    assert client.answer().status == 200

    benchmark(client)


def bench_observer_off(benchmark: Callable[..., Any]) -> None:
    _off(benchmark, features.silent_observer)
