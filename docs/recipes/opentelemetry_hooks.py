"""Send spans to a collector.

    rocket-cli serve --hooks opentelemetry_hooks mysite.wsgi:application

It takes opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http. Variables such as
OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_SERVICE_NAME, which may be in the file of --env-file, say where
the spans go, and from what. The application makes spans of requests by the instrumentation of its
framework, or by OpenTelemetryMiddleware of opentelemetry-instrumentation-wsgi.
"""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def post_fork(server, worker):
    """Make the provider in each process, which has a thread of its own for the spans."""
    provider = TracerProvider(resource=Resource.create({"process.pid": os.getpid()}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def worker_exit(server, worker):
    """Send the spans that wait to be sent."""
    trace.get_tracer_provider().shutdown()
