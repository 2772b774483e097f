"""An application that records each request as an OpenTelemetry span.

Each span is appended as a line to a file, named by the variable SPANS. A deployment would use an
exporter to a collector instead.
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


# Each process imports the application after it was started, so each has its own thread here. The
# thread exports spans in batches, and the remaining ones when the process ends.
provider = TracerProvider(
    resource=Resource.create({"service.name": "example", "process.pid": os.getpid()})
)
spans = Path(os.environ.get("SPANS", "spans.jsonl")).open("a", encoding="utf-8")  # noqa: SIM115 - open until the process ends
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=spans, formatter=line)))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("example")


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    with tracer.start_as_current_span("compute"):
        body = f"{environ['PATH_INFO']} in process {os.getpid()}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


app = OpenTelemetryMiddleware(application)
