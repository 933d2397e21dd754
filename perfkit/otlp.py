"""Spans as OpenTelemetry's protocol carries them, through OpenTelemetry's own exporter."""

from __future__ import annotations

from collections.abc import Sequence

from perfkit.errors import MissingExtraError, PerfkitError
from perfkit.spans import Exporter, Span

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
    from opentelemetry.trace.status import Status, StatusCode
except ImportError as error:
    raise MissingExtraError("OTLP", error.name or "opentelemetry", "otlp") from error

_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}


class _RejectedError(PerfkitError):
    """The collector did not take the spans."""


def exporter(
    endpoint: str | None = None, *, service: str = "", through: SpanExporter | None = None
) -> Exporter:
    """Return an exporter that sends spans to a collector.

    Args:
        endpoint: Where traces are taken, ``http://127.0.0.1:4318/v1/traces`` for instance;
            without it OpenTelemetry's environment variables say it.
        service: The name of this service; without it they say that as well.
        through: Another exporter of OpenTelemetry, in place of the one for HTTP.
    """
    sender = OTLPSpanExporter(endpoint=endpoint) if through is None else through
    resource = Resource.create({"service.name": service} if service else {})
    scope = InstrumentationScope("perfkit")

    def write(spans: Sequence[Span]) -> None:
        result = sender.export([_readable(span, resource, scope) for span in spans])
        if result is not SpanExportResult.SUCCESS:
            raise _RejectedError("the collector did not take the spans")

    return Exporter(write, sender.shutdown)


def _readable(span: Span, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
        resource=resource,
        attributes=span.attributes,
        kind=_KINDS[span.kind],
        status=Status(StatusCode.ERROR) if span.error else Status(StatusCode.UNSET),
        start_time=span.started,
        end_time=span.ended,
        instrumentation_scope=scope,
    )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(
        trace_id=int(trace_id, 16),
        span_id=int(span_id, 16),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
