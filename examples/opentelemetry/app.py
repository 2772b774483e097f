"""An application whose requests become spans of OpenTelemetry.

Spans are appended to the file that SPANS names, a line each, which an exporter to a collector would
replace.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter


def line(span: ReadableSpan) -> str:
    return span.to_json(indent=None) + "\n"


# The application is imported in each process, after that has begun, and so is this thread's work:
# it sends spans in batches, and the rest of them when the process ends.
provider = TracerProvider(
    resource=Resource.create({"service.name": "example", "process.pid": os.getpid()})
)
spans = Path(os.environ.get("SPANS", "spans.jsonl")).open("a", encoding="utf-8")  # noqa: SIM115 - for good
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=spans, formatter=line)))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("example")


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    with tracer.start_as_current_span("compute"):
        body = f"{environ['PATH_INFO']} in process {os.getpid()}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


app = OpenTelemetryMiddleware(application)
