"""The table of what is measured."""

from __future__ import annotations

from typing import Final

from bench import servers
from bench.load import CountedCalls, Idle, Mixed, OpenLoop, RedisBenchmark, TracedCalls, Wrk
from bench.push.workloads import PUSH
from bench.workload import Contender, Workload

HELLO: Final = "bench.applications.pages:hello"
FLASK: Final = "app:app"

_CORE: Final = Contender(servers.CORE)
_CORE_COMPILED: Final = Contender(servers.CORE_COMPILED)
_CORE_32: Final = Contender(servers.CORE, 32)
_LOOP: Final = Contender(servers.BARE_LOOP)
_SLEEPING: Final = Contender(servers.CORE_SLEEPING)

CORE: Final = (
    Workload(
        "core-fixed",
        "core",
        "A fixed response on 32 connections",
        Wrk(32),
        (_CORE_COMPILED, _CORE, _CORE_32, _LOOP),
        quick=True,
        remark="The worker waits for the empty line and writes a response that it does not make. "
        "The bare loop does that in one thread, without time-outs, limits or a way to wait.",
    ),
    Workload(
        "core-one",
        "core",
        "A fixed response on one connection",
        Wrk(1),
        (_CORE_COMPILED, _CORE, _CORE_32, _LOOP),
    ),
    Workload(
        "core-calls",
        "core",
        "System calls for each request, counted by the kernel",
        CountedCalls(Wrk(32)),
        (_CORE, _LOOP),
        compared=(),
        quick=True,
    ),
    Workload(
        "core-calls-strace",
        "core",
        "System calls for each request, counted by strace",
        TracedCalls(Wrk(32)),
        (_CORE, _LOOP),
        compared=(),
        remark="strace stops the server at every call; the pool takes that for work that waits, "
        "and wakes more threads than it does at full speed.",
    ),
    Workload(
        "core-idle",
        "core",
        "10,000 idle connections",
        Idle(10_000, Wrk(1)),
        (_CORE, _LOOP),
        compared=(),
        apart=True,
        remark="Memory is that of the server's process; the kernel's for sockets comes on top.",
    ),
    Workload(
        "core-redis",
        "core",
        "The key-value example, without pipelining",
        RedisBenchmark(1),
        (Contender(servers.KEY_VALUE), Contender(servers.REDIS)),
        compared=("set_rate", "get_rate", "cpu_us"),
    ),
    Workload(
        "core-redis-pipelined",
        "core",
        "The key-value example, 16 commands at once",
        RedisBenchmark(16),
        (Contender(servers.KEY_VALUE), Contender(servers.REDIS)),
        compared=("set_rate", "get_rate", "cpu_us"),
        quick=True,
    ),
    Workload(
        "core-sleep-full",
        "core",
        "A worker that sleeps for 20 ms, 32 clients",
        Wrk(32),
        (_SLEEPING,),
        quick=True,
        remark="Eight threads can serve 400 requests in a second.",
    ),
    Workload(
        "core-sleep-half",
        "core",
        "A worker that sleeps for 20 ms, 200 requests a second",
        OpenLoop(200),
        (_SLEEPING,),
        remark="Half of what eight threads can serve; from the times at which requests were due.",
    ),
    Workload(
        "core-mixed",
        "core",
        "Fast requests beside five that sleep for 100 ms",
        Mixed(OpenLoop(200, path="/fast"), Wrk(5, path="/slow")),
        (Contender(servers.CORE_MIXED),),
        compared=(),
        quick=True,
        remark="Three of eight threads are free all the time. 200 fast requests a second.",
    ),
    Workload(
        "core-mixed-busy",
        "core",
        "Fast requests, as many as four clients can send, beside five that sleep for 100 ms",
        Mixed(Wrk(4, path="/fast"), Wrk(5, path="/slow")),
        (Contender(servers.CORE_MIXED),),
        compared=(),
    ),
    Workload(
        "core-fresh",
        "core",
        "A new connection for each request",
        Wrk(32, close=True),
        (
            Contender(servers.CORE_CLOSING_COMPILED),
            Contender(servers.CORE_CLOSING),
            Contender(servers.BARE_LOOP_CLOSING),
        ),
    ),
    Workload(
        "core-counters",
        "core",
        "The cost of the histograms",
        Wrk(32),
        (_CORE, Contender(servers.CORE_UNCOUNTED)),
    ),
)

_COMPILED: Final = Contender(servers.ROCKET_COMPILED)
_ROCKET: Final = Contender(servers.ROCKET)
_THREADED: Final = (
    _COMPILED,
    _ROCKET,
    Contender(servers.GRANIAN),
    Contender(servers.UWSGI),
    Contender(servers.WAITRESS),
    Contender(servers.CHEROOT),
    Contender(servers.GUNICORN),
    Contender(servers.ROCKET3),
)
"""Those that run applications in threads."""

_SINGLE: Final = (Contender(servers.BJOERN), Contender(servers.FASTPYSGI))
"""Those that have one thread."""

_PEERS: Final = (*_THREADED, *_SINGLE)
_GRANIAN_ST: Final = Contender(servers.GRANIAN_ST)
_SHARING: Final = tuple(each for each in _PEERS if each.server is not servers.ROCKET3)
"""Those in which more connections than there are threads get a turn."""
_FLOOR: Final = Contender(servers.WSGI_LOOP)
_ALONE: Final = Contender(None)
_TLS: Final = tuple(
    Contender(server)
    for server in (
        servers.ROCKET_COMPILED,
        servers.ROCKET,
        servers.GRANIAN,
        servers.GRANIAN_ST,
        servers.CHEROOT,
        servers.GUNICORN,
        servers.ROCKET3,
        servers.FASTPYSGI,
    )
)

_GRANIANS: Final = tuple(map(Contender, (servers.GRANIAN, *servers.GRANIAN_VARIANTS)))
_ONE_THREAD: Final = tuple(
    Contender(server, 1) for server in (servers.ROCKET_COMPILED, servers.ROCKET, servers.GRANIAN)
)
_WITH_OPTION: Final = (*_PEERS, _GRANIAN_ST)
"""Where granian is a target, with the option that changes most for it."""

WSGI: Final = (
    Workload(
        "hello-varied",
        "wsgi",
        "13 bytes, 32 connections, each request another",
        Wrk(32, varied=True),
        (*_PEERS, _FLOOR),
        application=HELLO,
        quick=True,
        remark="Each has a path, a query, an agent, a cookie and a header of its own, so no server "
        "gains by remembering whole heads. The WSGI loop is a floor for Python: one thread, a "
        "parser that trusts its clients, no time-outs, no limits.",
    ),
    Workload(
        "varied-granian",
        "wsgi",
        "13 bytes, 32 connections, each request another, other options of granian",
        Wrk(32, varied=True),
        (_COMPILED, _ROCKET, *_GRANIANS, *_ONE_THREAD),
        options=True,
        application=HELLO,
        remark="Those of which its documentation says that they may be faster; one thread is its "
        "advice for applications that never wait.",
    ),
    Workload(
        "hello",
        "wsgi",
        "13 bytes, 32 connections, the same request each time",
        Wrk(32),
        (*_PEERS, _FLOOR),
        compared=("rate", "cpu_us", "resident_mb"),
        quick=True,
        remark="Real requests differ: the workload above tells more. Rocket remembers the heads "
        "that a client repeats.",
    ),
    Workload(
        "hello-granian",
        "wsgi",
        "13 bytes, 32 connections, the same request each time, other options of granian",
        Wrk(32),
        (_COMPILED, _ROCKET, *_GRANIANS),
        options=True,
    ),
    *(
        Workload(
            f"hello-{count}",
            "wsgi",
            f"13 bytes, {count:,} connection{'s' if count > 1 else ''}, each request another",
            Wrk(count, varied=True),
            (*_PEERS, _FLOOR),
            application=HELLO,
        )
        for count in (1, 256, 2000)
    ),
    Workload(
        "fresh",
        "wsgi",
        "13 bytes, a new connection for each request, 32 at a time",
        Wrk(32, close=True),
        (*_WITH_OPTION, Contender(servers.PYRUVATE), _FLOOR),
        quick=True,
        remark="pyruvate is measured only here: told to keep connections, it announces that it "
        "does, and answers no second request on them.",
    ),
    Workload(
        "load-1000",
        "wsgi",
        "1,000 requests a second on 50 connections",
        OpenLoop(1000, path="/items/#?page=#&order=price"),
        (*_SHARING, _FLOOR),
        compared=("p99_ms", "cpu_us"),
        application=HELLO,
        quick=True,
        remark="The same load for all, and far from too much for any; from the times at which "
        "requests were due. rocket3 is left out: it serves eight of the connections.",
    ),
    Workload(
        "load-2500",
        "wsgi",
        "2,500 requests a second on 50 connections",
        OpenLoop(2500, path="/items/#?page=#&order=price"),
        (*_SHARING, _FLOOR),
        compared=("p99_ms", "cpu_us"),
        application=HELLO,
        remark="As above, and nearer to what the slowest can serve.",
    ),
    Workload("body-64k", "wsgi", "64 KiB, 32 connections", Wrk(32, "/64k"), _WITH_OPTION),
    Workload("body-1m", "wsgi", "1 MiB, 32 connections", Wrk(32, "/1m"), _WITH_OPTION),
    Workload(
        "post-1k",
        "wsgi",
        "POST of 1 KiB, 32 connections",
        Wrk(32, "/upload", method="POST", body=1024),
        _WITH_OPTION,
    ),
    Workload(
        "post-1m",
        "wsgi",
        "POST of 1 MiB, 32 connections",
        Wrk(32, "/upload", method="POST", body=1048576),
        _PEERS,
    ),
    Workload(
        "chunks",
        "wsgi",
        "A generator of ten parts of 1 KiB, 32 connections",
        Wrk(32, "/chunks"),
        _WITH_OPTION,
        remark="Ten parts, each of which is sent on before the next is asked for (PEP 3333). "
        "fastpysgi collects them all and sends them as one.",
    ),
    Workload(
        "static",
        "wsgi",
        "A file of 100 KiB, 32 connections",
        Wrk(32, "/static/100k.bin"),
        (
            *_WITH_OPTION,
            Contender(servers.GRANIAN_STATIC),
            Contender(servers.UWSGI_STATIC),
            Contender(servers.NGINX),
        ),
        remark="From the application, by the `wsgi.file_wrapper` of the server if it has one; the "
        "last three serve the directory themselves.",
    ),
    Workload(
        "flask",
        "wsgi",
        "A Flask page with a template and an SQLite query, 32 connections",
        Wrk(32),
        (*_PEERS, _ALONE),
        application=FLASK,
        quick=True,
        remark="The last row calls the application in a loop, without any server: what is "
        "more than that is the server's.",
    ),
    Workload(
        "compute",
        "wsgi",
        "A millisecond of Python, 32 connections",
        Wrk(32, "/compute"),
        (*_PEERS, _FLOOR),
    ),
    Workload(
        "sleep",
        "wsgi",
        "A page that sleeps for 20 ms, 64 connections",
        Wrk(64, "/sleep"),
        _THREADED,
        quick=True,
        remark="Eight threads can serve 400 requests in a second.",
    ),
    Workload(
        "mixed",
        "wsgi",
        "200 fast requests a second beside five that sleep for 100 ms",
        Mixed(OpenLoop(200), Wrk(5, "/slow")),
        tuple(each for each in _SHARING if each not in _SINGLE),
        compared=("mixed_p99_ms",),
        remark="Three of eight threads are free all the time. From the times at which requests "
        "were due.",
    ),
    Workload(
        "tls",
        "wsgi",
        "TLS, 13 bytes, 32 connections",
        Wrk(32),
        _TLS,
        tls=True,
        quick=True,
    ),
    Workload(
        "tls-fresh",
        "wsgi",
        "TLS, 13 bytes, a new connection for each request, 32 at a time",
        Wrk(32, close=True),
        (*_TLS, Contender(servers.TLS_LOOP, 1), Contender(servers.TLS_LOOP)),
        tls=True,
        remark="The TLS loop is a floor for Python: threads that accept, shake hands, answer once "
        "and close, and wait for their client in each of these.",
    ),
    Workload(
        "idle",
        "wsgi",
        "One active connection beside 5,000 idle ones",
        Idle(5_000, Wrk(1)),
        _PEERS,
        compared=(),
        apart=True,
        remark="Memory is that of the server's processes; the kernel's for sockets comes on top.",
    ),
    Workload(
        "processes",
        "wsgi",
        "A millisecond of Python, 32 connections, in one process and in two",
        Wrk(32, "/compute"),
        tuple(
            Contender(server, processes=processes)
            for server in (
                servers.ROCKET_COMPILED,
                servers.ROCKET,
                servers.GRANIAN,
                servers.GUNICORN,
            )
            for processes in (1, 2)
        ),
        options=True,
        remark="So little of it is wrk's that two processes have two processors nearly to "
        "themselves.",
    ),
    Workload(
        "threads",
        "wsgi",
        "13 bytes, 32 connections, each request another, 1 to 32 threads",
        Wrk(32, varied=True),
        tuple(
            Contender(server, threads)
            for threads in (1, 4, 16, 32)
            for server in (
                servers.ROCKET_COMPILED,
                servers.ROCKET,
                servers.GRANIAN,
                servers.GUNICORN,
            )
        ),
        compared=(),
        options=True,
        application=HELLO,
        remark="Eight threads are the row of the same workload above.",
    ),
)

ALL: Final = (*CORE, *WSGI, *PUSH)
