"""The tables of the page on limits: their values are those of the code."""

from __future__ import annotations

from rocket_cli._admin import protocol
from rocket_cli._processes import process_bus
from rocket_cli._serving import health_check
from rocket_cli._settings.all_settings import SECTIONS
from rocket_cli._supervisor import message_bus, restarts
from rocket_cli._units import exact_size
from rocket_core import http1
from rocket_core._connection import budget, client_buckets, output, shared_tally, spool
from rocket_core._engine import engine
from rocket_core._network import proxy_header
from rocket_core._pool import urgent_lanes
from rocket_wsgi._compression import compressed_files, head
from rocket_wsgi._environ import authority, target
from rocket_wsgi._http1 import body_decoder, fields
from rocket_wsgi._http2 import http2_protocol, limits
from rocket_wsgi._push import event_stream
from rocket_wsgi._static import ranges
from rocket_wsgi._websocket import session
from systemtests.generated import marked, row, table

SECTIONS_OF_LIMITS = ("Limits", "Time-outs")
OTHERS = (
    "backlog",
    "threads",
    "max-stalled",
    "max-upgraded",
    "max-rss",
    "max-requests",
    "max-lifetime",
    "access-log-max-lines",
)
"""Settings of other sections that are limits, too."""

_TITLES = "limit, value, beyond it"


def of_settings() -> str:
    """Return the limits that are settings, with their defaults."""
    found = [
        each
        for title, settings in SECTIONS.items()
        for each in settings
        if title in SECTIONS_OF_LIMITS or each.name in OTHERS
    ]
    link = "[{0}](options.md#{0})"
    rows = [
        row(link.format(each.name), marked(each.default_text), marked(each.description))
        for each in found
    ]
    return table("setting, default, meaning", *rows)


def of_requests() -> str:
    """Return the limits of a request."""
    chunks = f"{body_decoder._MIN_AVERAGE} bytes, beyond {body_decoder._FEW_CHUNKS} chunks"
    return table(
        _TITLES,
        row("request line", exact_size(http1.MAX_REQUEST_LINE), "414; 501 for a longer method"),
        row("a field", exact_size(http1.MAX_FIELD), "431"),
        row("a head", exact_size(http1.MAX_HEAD), "431"),
        row("fields of a head", str(http1.MAX_FIELDS), "431"),
        row("trailers: as fields, together", exact_size(body_decoder._MAX_TRAILERS), "431"),
        row("the field `Host`, without port", f"{authority._LONGEST_HOST} bytes", "400"),
        row("digits of `Content-Length`", str(fields._MAX_LENGTH_DIGITS), "413"),
        row("the line before a chunk", f"{body_decoder._MAX_CHUNK_LINE} bytes", "400"),
        row("average size of chunks, at least", chunks, "400"),
        row("URL of a redirect of the server", exact_size(target.MAX_LOCATION), "414"),
        row("ranges of a request for a file", str(ranges.MAX_RANGES), "the whole file is sent"),
        row("line of a PROXY header, version 1", f"{proxy_header.MAX_LINE} bytes", "closed"),
        row("PROXY header, version 2", exact_size(proxy_header.MAX_HEADER), "closed"),
        row(
            "requests of one connection in a row",
            str(engine.FAIR_SHARE),
            "other connections are served first",
        ),
    )


def of_http2() -> str:
    """Return the limits of a connection of HTTP/2."""
    calm = "`ENHANCE_YOUR_CALM`"
    refused = "`REFUSED_STREAM`"
    late = "408 if the request has not arrived; otherwise the stream ends with `CANCEL`"
    seconds = "{:g} s".format
    return table(
        _TITLES,
        row("streams at a time", str(limits.MAX_STREAMS), refused),
        row(
            "resets, by the client or for its faults",
            f"{limits.MAX_RESETS} at once, {limits.RESETS_PER_SECOND:g} a second",
            calm,
        ),
        row(
            "frames that move nothing, such as PING",
            f"{limits.MAX_IDLE_FRAMES} at once, {limits.IDLE_FRAMES_PER_SECOND:g} a second",
            calm,
        ),
        row("encoded head", exact_size(limits.MAX_BLOCK), calm),
        row("CONTINUATION frames of a head", str(limits.MAX_CONTINUATIONS), calm),
        row("decoded head", exact_size(limits.MAX_LIST), "431, or 414 for the target"),
        row("decoded head, at most", exact_size(limits.MAX_DECODED), calm),
        row("table of HPACK", exact_size(limits.MAX_TABLE), "entries are dropped"),
        row("unsent answers to frames", exact_size(limits.MAX_CONTROL), calm),
        row("unread body of a stream", exact_size(limits.STREAM_WINDOW), "the client waits"),
        row("unread bodies, all streams", exact_size(limits.CONNECTION_WINDOW), "the client waits"),
        row("time for the preface", seconds(limits.PREFACE_TIMEOUT), "closed"),
        row("time in which nothing moves", seconds(limits.STALL_TIMEOUT), late),
        row("such streams", str(limits.MAX_STALLS), "the connection ends"),
        row("requests", f"{limits.MAX_REQUESTS:,}", "the connection ends gracefully"),
    )


def of_responses() -> str:
    """Return the limits of what waits for clients."""
    waits = "the thread waits, and another one takes its place"
    return table(
        _TITLES,
        row("response of HTTP/1.1 in memory", exact_size(output.OUTPUT_BOUND), waits),
        row(
            "the same, while all hold [max-output](options.md#max-output)",
            exact_size(budget.GRAIN),
            waits,
        ),
        row("response of HTTP/2", exact_size(http2_protocol.STREAM_BOUND), waits),
        row("responses of a connection", exact_size(http2_protocol.CONNECTION_BOUND), waits),
        row(
            "messages for the client of a websocket",
            exact_size(session.SLOW),
            'closed with 1013; or the message is dropped, with `slow="drop"`',
        ),
        row("events for a client", exact_size(event_stream.MAX_PENDING), "the client is cut off"),
        row(
            "time to answer the closing of a websocket",
            f"{session.CLOSE_TIMEOUT:g} s",
            "the connection is closed",
        ),
        row("response that is compressed, at least", exact_size(head.MIN_SIZE), "sent as it is"),
        row("file that is compressed", exact_size(compressed_files.MAX_FILE), "sent as it is"),
        row(
            "compressed files",
            exact_size(compressed_files.CAPACITY),
            "those that were not asked for longest are forgotten",
        ),
    )


def of_the_server() -> str:
    """Return the limits of a process, and of the command."""
    died = f"{restarts._MAX_DEATHS}, each within {restarts._YOUNG:g} s"
    return table(
        _TITLES,
        row("body in memory, in any case", exact_size(spool.MEMORY_BOUND), "see the next rows"),
        row("body in memory, if there is room", exact_size(spool.BUDGETED_BOUND), "a file"),
        row("such bodies, all together", exact_size(budget.TOTAL_INPUT), "a file"),
        row(
            "threads for files and [reserved](options.md#reserved) paths, while all are busy",
            str(urgent_lanes.LANES),
            "the request waits with the others",
        ),
        row(
            "clients whose rates are known",
            f"{client_buckets.MAX_CLIENTS:,}",
            "those that were idle for longest are forgotten",
        ),
        row(
            "outcomes that are counted by name",
            str(shared_tally.MAX_OUTCOMES),
            "counted as `other`",
        ),
        row("message to a shared group", exact_size(process_bus.MAX_HELD), "`ValueError`"),
        row(
            "messages to shared groups that are kept",
            exact_size(message_bus.MAX_LOG),
            "a process that is slower misses some, and is told",
        ),
        row(
            "time for a new process to answer its health checks",
            f"{health_check.PATIENCE:g} s",
            "the process ends; a reload has failed",
        ),
        row("failed starts in a row, none serving", str(restarts._MAX_FAILURES), "exit code 2"),
        row("processes that died young in a row, none serving", died, "exit code 2"),
        row("line of the admin protocol", exact_size(protocol.MAX_LINE), "an error, and closed"),
        row("connections in an answer, of a process", f"{protocol.MAX_LIMIT:,}", "an error"),
        row("processes by `resize`", f"{protocol.MAX_PROCESSES:,}", "an error"),
    )
