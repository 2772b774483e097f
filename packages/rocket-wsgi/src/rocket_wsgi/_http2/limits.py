"""What a client may do on one connection, each limit with its reason.

A limit that is exceeded ends the connection with ENHANCE_YOUR_CALM, unless its text says something
else. The limits of heads are those of HTTP/1.1 (`rocket_core.http1`).
"""

from __future__ import annotations

from typing import Final

from rocket_core.http1 import MAX_FIELD, MAX_FIELDS, MAX_HEAD, MAX_REQUEST_LINE

__all__ = ["MAX_FIELD", "MAX_FIELDS", "MAX_HEAD", "MAX_REQUEST_LINE"]

MAX_STREAMS: Final = 100
"""Streams at a time (SETTINGS_MAX_CONCURRENT_STREAMS); a further one gets REFUSED_STREAM. Section
6.5.2 of RFC 9113 advises not to allow fewer. A stream counts until the *application* is done with
it, whether or not the client has reset it: otherwise a client could start any number of requests
by resetting each at once (CVE-2023-44487, rapid reset)."""

MAX_RESETS: Final = 200
RESETS_PER_SECOND: Final = 20.0
"""Resets by the client, and resets by the server for a fault of the client (CVE-2025-8671,
MadeYouReset), which are refused streams and refused heads, too. A browser that leaves a page resets
up to 100 streams at once, and may do so again on the next one."""

MAX_IDLE_FRAMES: Final = 1_000
IDLE_FRAMES_PER_SECOND: Final = 100.0
"""Frames that move nothing: PING, SETTINGS, PRIORITY, PRIORITY_UPDATE, empty DATA, frames of
unknown types, frames for streams that have ended, and WINDOW_UPDATE beyond one for each KiB that
was sent (CVE-2019-9512, -9513, -9515, -9518). Clients send a few of them in a second."""

BYTES_PER_UPDATE: Final = 1024
"""The bytes sent that entitle the client to one WINDOW_UPDATE. Clients usually send two, for the
stream and the connection, after 16 KiB or more."""

UPDATES_PER_FRAME: Final = 2
"""The WINDOW_UPDATE frames to which a DATA frame entitles the client in addition: HAProxy sends two
after each of them, however small. A frame that is small because the window of the client is so
small entitles it to none, or one-byte windows would be free of charge (CVE-2019-9511)."""

MAX_SETTINGS: Final = 32
"""Settings in a frame that count as one frame; more count as several."""

MAX_CONTINUATIONS: Final = 8
MAX_BLOCK: Final = 64 * 1024
"""CONTINUATION frames, and bytes, of an encoded field block. What exceeds them is not decoded
(CVE-2024-27316, CONTINUATION flood). Even a head of the maximum size, with no compression, fits
into four frames."""

MAX_TABLE: Final = 4096
"""The bytes of the dynamic table (SETTINGS_HEADER_TABLE_SIZE), which is the initial value."""

MAX_LIST: Final = MAX_HEAD
"""The bytes of a decoded head (SETTINGS_MAX_HEADER_LIST_SIZE), with 32 for each field. It is
checked while a block is decoded, so that a small block with many references to a large entry takes
no memory (CVE-2016-6581, HPACK bomb). A request that exceeds this, or another limit of heads, is to
be answered with 431 or 414."""

MAX_DECODED: Final = 4 * MAX_LIST
"""The bytes of a decoded block, counted likewise, beyond which the rest is not decoded. A block
that is a little too long has to be, because the table follows from all blocks. But 16 KiB can be
made to grow to 64 MiB, which would take 2 ms for each block."""

MAX_CONTROL: Final = 64 * 1024
"""Unsent bytes of acknowledgements, resets and window updates: more of them wait only if a client
provokes them without taking them (CVE-2019-9512)."""

STREAM_WINDOW: Final = 256 * 1024
CONNECTION_WINDOW: Final = 1024 * 1024
"""The bytes of bodies that a client may send before the server gives credit: enough for 20 Mbit/s
on a stream over 100 ms. More for one stream is no use, since the application reads it from there;
four of them together use the whole connection."""

BODY_MEMORY: Final = 2 * 1024
"""The bytes of a body that are in memory in any case, if others of the connection arrive, too. One
alone has 64 KiB, as over HTTP/1.1. What exceeds this needs room in the budget of the server, or in
a file: a hundred bodies of 64 KiB on each connection would not be bounded by it."""

PREFACE_TIMEOUT: Final = 10.0
"""Seconds for the connection preface, with the first SETTINGS frame. Clients send both at once."""

STALL_TIMEOUT: Final = 90.0
"""Seconds for which a stream waits for the client to open its window, or to send more of its body,
if nothing moves (CVE-2019-9511, -9517). Then it ends: a request that the application does not have
yet is answered with 408, and any other stream is reset with CANCEL. More than the 60 s of a
connection, because the streams of a connection share what it can carry."""

MAX_STALLS: Final = 3
"""Streams that end by `STALL_TIMEOUT` or by the minimum rate, before the connection does."""

MAX_REQUESTS: Final = 10_000
"""Requests, after which the connection ends gracefully, with NO_ERROR. So clients that stay for
long spread over all processes, and what a connection has collected is freed."""

MAX_CLOSED: Final = 256
"""Streams of which it is remembered how they ended. Frames of a stream that ended earlier are an
error of the connection; more than these do not end within one round trip."""

MAX_FUTURE: Final = MAX_STREAMS
"""Streams that have not begun whose priority is remembered (RFC 9218, section 7.1)."""

DRAIN_ROUND_TRIP: Final = 1.0
"""Seconds between the two GOAWAY frames of a drain, unless the answer to a PING comes before."""
