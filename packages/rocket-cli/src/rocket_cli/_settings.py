"""The settings: every option, environment variable and key of a file there is."""

from __future__ import annotations

from io import StringIO
from ssl import TLSVersion
from typing import Final

from rocket_cli._bind import parse_bind
from rocket_cli._errors import CommandError
from rocket_cli._kinds import (
    BYTES,
    DIRECTORY_AT_PATH,
    FILE,
    FLAG,
    RATE,
    SECONDS,
    Choice,
    Text,
    Whole,
    Words,
)
from rocket_cli._setting import Part, Section, Setting, setting
from rocket_cli._target import Target, parse_target
from rocket_cli._threads import Threads, parse_threads
from rocket_cli._welcome import welcome
from rocket_core import Networks
from rocket_tls import Challenge, ClientCertificates, Profile
from rocket_wsgi import AccessLog, StaticFiles, Underscores, WSGIWorker


def _target(text: str) -> Target:
    try:
        return parse_target(text)
    except CommandError as error:
        raise ValueError(error.message) from error


def _plain_threads(threads: Threads) -> int | str:
    return threads.most if threads.least == threads.most else str(threads)


_CERTIFICATE: Final = ("tls-cert", "tls-dir", "acme")
"""One of these is needed for whatever is about TLS."""

_TLS_VERSIONS: Final = {"1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3}


def _tls_version(text: str) -> TLSVersion:
    try:
        return _TLS_VERSIONS[text]
    except KeyError:
        raise ValueError(f"{text!r}: use 1.2 or 1.3") from None


def _plain_tls_version(version: TLSVersion) -> str:
    return next(name for name, each in _TLS_VERSIONS.items() if each is version)


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not a path of a URL: it must begin with /")
    return text


def _index(text: str) -> str:
    StaticFiles("/", index=text)
    return text


def _cache_control(text: str) -> str:
    StaticFiles("/", cache_control=text)
    return text


def _check_fields(names: list[str]) -> None:
    WSGIWorker(welcome, trusted_proxies=[], proxy_fields=names)


def _hsts(text: str) -> str:
    WSGIWorker(welcome, hsts=text)
    return text


def _log_path(text: str) -> str:
    if not text:
        raise ValueError("'': use the path of a file, or - for standard output")
    return text


def _log_format(text: str) -> str:
    AccessLog(StringIO(), text)
    return text


SETTINGS: Final[tuple[Setting, ...]] = (
    setting(
        "app",
        Text(_target),
        Section.APPLICATION,
        "The application: MODULE:APP, or MODULE:FACTORY() for a function that returns it. Without "
        "it that of the current directory is looked for.",
        argument=True,
        metavar="MODULE:APP",
        gunicorn="wsgi_app",
    ),
    # -- where it listens --------------------------------------------------------------------------
    setting(
        "bind",
        Text(parse_bind),
        Section.LISTENING,
        "Listen on HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH, with http:// or https:// before it "
        "or, without that, over HTTPS if there is a certificate. Can be repeated.",
        default=["127.0.0.1:8000"],
        many=True,
        metavar="ADDRESS",
        gunicorn="bind",
    ),
    setting(
        "backlog",
        Whole(1, (1 << 31) - 1, unit="connections"),
        Section.LISTENING,
        "Connections that the system keeps for each address until they are accepted.",
        part=Part.LISTENER,
        gunicorn="backlog",
    ),
    # -- TLS ---------------------------------------------------------------------------------------
    setting(
        "tls-cert",
        FILE,
        Section.TLS,
        "Certificate and its chain, PEM.",
        part=Part.TLS,
        keyword="certificate",
        gunicorn="certfile",
    ),
    setting(
        "tls-key",
        FILE,
        Section.TLS,
        "Private key, PEM. Without it the key is in the file of the certificate.",
        part=Part.TLS,
        keyword="key",
        gunicorn="keyfile",
        needs="tls-cert",
    ),
    setting(
        "tls-dir",
        FILE,
        Section.TLS,
        "Directory of certificates with their keys: NAME.crt and NAME.key, NAME.pem with the key "
        "in it, or directories of certbot and Kubernetes. Clients get the one for the name that "
        "they ask for. Can be repeated.",
        many=True,
        metavar="DIR",
    ),
    setting(
        "tls-profile",
        Choice([each.value for each in Profile], Profile),
        Section.TLS,
        "Mozilla's recommendation that the versions and ciphers follow.",
        part=Part.TLS_SETTINGS,
        keyword="profile",
        needs=_CERTIFICATE,
    ),
    setting(
        "tls-min-version",
        Text(_tls_version, plain=_plain_tls_version),
        Section.TLS,
        "Oldest version of TLS, instead of that of the profile.",
        part=Part.TLS_SETTINGS,
        keyword="min_version",
        metavar="1.2|1.3",
        gunicorn="ssl_version",
        needs=_CERTIFICATE,
    ),
    setting(
        "tls-ciphers",
        Text(str),
        Section.TLS,
        "Ciphers of TLS 1.2, as OpenSSL writes them, instead of those of the profile.",
        part=Part.TLS_SETTINGS,
        keyword="ciphers",
        metavar="CIPHERS",
        gunicorn="ciphers",
        needs=_CERTIFICATE,
    ),
    setting(
        "tls-client-certificates",
        Choice([each.value for each in ClientCertificates], ClientCertificates),
        Section.TLS,
        "Whether clients show a certificate.",
        part=Part.TLS_SETTINGS,
        keyword="client_certificates",
        gunicorn="cert_reqs",
        needs=_CERTIFICATE,
    ),
    setting(
        "tls-client-ca",
        FILE,
        Section.TLS,
        "Authorities that issue the certificates of clients, PEM.",
        part=Part.TLS_SETTINGS,
        keyword="client_ca",
        gunicorn="ca_certs",
        needs="tls-client-certificates",
    ),
    setting(
        "tls-client-crl",
        FILE,
        Section.TLS,
        "Lists of certificates that these authorities have revoked, PEM.",
        part=Part.TLS_SETTINGS,
        keyword="client_crl",
        needs="tls-client-ca",
    ),
    setting(
        "acme",
        Text(str),
        Section.TLS,
        "Host name or IP address of a certificate that is obtained from Let's Encrypt, or another "
        "authority, and renewed. Who uses this agrees to the terms of the authority. Can be "
        "repeated.",
        many=True,
        metavar="NAME",
    ),
    setting(
        "acme-email",
        Text(str),
        Section.TLS,
        "Where the authority may send messages about the certificate.",
        part=Part.ACME,
        keyword="email",
        metavar="ADDRESS",
        needs="acme",
    ),
    setting(
        "acme-challenge",
        Choice([each.value for each in Challenge], Challenge),
        Section.TLS,
        "How the authority sees that the names are this server's: on port 443 in a handshake, or "
        "on port 80 over HTTP.",
        part=Part.ACME,
        keyword="challenge",
        needs="acme",
    ),
    setting(
        "acme-dir",
        FILE,
        Section.TLS,
        "Directory for the account and the certificate. Without it one below rocket/acme in "
        "$XDG_DATA_HOME, which is ~/.local/share without that.",
        metavar="DIR",
        needs="acme",
    ),
    setting(
        "acme-server",
        Text(str),
        Section.TLS,
        "Directory of the authority.",
        part=Part.ACME,
        keyword="server",
        metavar="URL",
        needs="acme",
    ),
    setting(
        "acme-server-ca",
        FILE,
        Section.TLS,
        "Authorities to trust in connecting to the authority, PEM. Without it those that browsers "
        "trust.",
        part=Part.ACME,
        keyword="server_ca",
        needs="acme",
    ),
    setting(
        "acme-eab-key-id",
        Text(str),
        Section.TLS,
        "Id of the key by which the authority finds an account that was made elsewhere.",
        metavar="ID",
        needs="acme-eab-key",
    ),
    setting(
        "acme-eab-key",
        FILE,
        Section.TLS,
        "File with that key, in base64url.",
        needs="acme-eab-key-id",
    ),
    setting(
        "https-redirect",
        Whole(1, 65535),
        Section.TLS,
        "Redirect plain HTTP to HTTPS at this port, as clients reach it. Without it plain HTTP is "
        "served.",
        part=Part.WORKER,
        metavar="PORT",
    ),
    setting(
        "hsts",
        Text(_hsts),
        Section.TLS,
        "Value of Strict-Transport-Security in responses over HTTPS, such as max-age=31536000. "
        "Without it there is no such field.",
        part=Part.WORKER,
        metavar="VALUE",
    ),
    # -- processes ---------------------------------------------------------------------------------
    setting(
        "processes",
        Whole(0, 4096),
        Section.PROCESSES,
        "Processes that serve, each with so many threads; 0: as many as there are processors.",
        default=1,
        gunicorn="workers",
    ),
    # -- threads -----------------------------------------------------------------------------------
    setting(
        "threads",
        Text(
            parse_threads,
            types=(int, str),
            wanted='a whole number, or a string such as "4:16"',
            plain=_plain_threads,
        ),
        Section.THREADS,
        "Threads that run the application: always so many, or as many as are needed between two "
        "numbers. One that waits for its client is replaced meanwhile.",
        default=8,
        metavar="N|MIN:MAX",
        gunicorn="threads",
    ),
    setting(
        "max-stalled",
        Whole(0, unit="threads"),
        Section.THREADS,
        "Threads that wait for a client, or serve a websocket, and are replaced, at most.",
        part=Part.SERVER,
    ),
    setting(
        "executor-threads",
        Whole(1, unit="threads"),
        Section.THREADS,
        "Threads for work that the application hands to wsgiorg.executor, which is there with this "
        "setting only.",
    ),
    setting(
        "watchdog",
        SECONDS,
        Section.THREADS,
        "Log the stack of a thread that is still busy with one request after this time. Without it "
        "none is logged.",
        part=Part.SERVER,
    ),
    # -- limits ------------------------------------------------------------------------------------
    setting(
        "max-connections",
        Whole(1, unit="connections"),
        Section.LIMITS,
        "Connections beyond which none is accepted until one ends; clients that rest then make "
        "room. Without it half of what the limit of open files leaves.",
        part=Part.SERVER,
        gunicorn="worker_connections",
    ),
    setting(
        "max-queue",
        Whole(0, unit="requests"),
        Section.LIMITS,
        "Requests that wait while all threads are busy, before others are answered 503.",
        part=Part.SERVER,
    ),
    setting(
        "max-output",
        BYTES,
        Section.LIMITS,
        "Memory for what clients do not take yet, over all connections.",
        part=Part.SERVER,
    ),
    setting(
        "max-body",
        BYTES,
        Section.LIMITS,
        "Size of the largest request body; larger ones are answered 413.",
        part=Part.WORKER,
    ),
    # -- time-outs ---------------------------------------------------------------------------------
    setting(
        "graceful-timeout",
        SECONDS,
        Section.TIMEOUTS,
        "For the requests in flight to finish after SIGTERM.",
        default=30,
        gunicorn="graceful_timeout",
    ),
    setting(
        "request-timeout",
        SECONDS,
        Section.TIMEOUTS,
        "For the application to finish a request, before it is answered 504. Without it there is "
        "no limit.",
        part=Part.SERVER,
        gunicorn="timeout",
    ),
    setting(
        "queue-timeout",
        SECONDS,
        Section.TIMEOUTS,
        "For a request to wait while all threads are busy, before it is answered 503.",
        part=Part.SERVER,
    ),
    setting(
        "keep-alive",
        SECONDS,
        Section.TIMEOUTS,
        "For the client's next request on a connection.",
        part=Part.TIMEOUTS,
        gunicorn="keepalive",
    ),
    setting(
        "handshake-timeout",
        SECONDS,
        Section.TIMEOUTS,
        "For the whole TLS handshake, with a proxy's header before it.",
        part=Part.TIMEOUTS,
        keyword="handshake",
    ),
    setting(
        "head-timeout",
        SECONDS,
        Section.TIMEOUTS,
        "For a whole request head.",
        part=Part.TIMEOUTS,
        keyword="head",
    ),
    setting(
        "stall-timeout",
        SECONDS,
        Section.TIMEOUTS,
        "For any byte of a body or a response to move.",
        part=Part.TIMEOUTS,
        keyword="stall",
    ),
    setting(
        "minimum-rate",
        RATE,
        Section.TIMEOUTS,
        "Below this a body or a response is too slow, and its connection is cut.",
        part=Part.TIMEOUTS,
    ),
    setting(
        "minimum-rate-grace",
        SECONDS,
        Section.TIMEOUTS,
        "For a body or a response, before the minimum rate counts.",
        part=Part.TIMEOUTS,
        keyword="grace",
    ),
    setting(
        "linger-timeout",
        SECONDS,
        Section.TIMEOUTS,
        "For the client to close its connection after the last response.",
        part=Part.TIMEOUTS,
        keyword="linger",
    ),
    # -- requests ----------------------------------------------------------------------------------
    setting(
        "stream-bodies",
        FLAG,
        Section.REQUESTS,
        "Call the application before the body of a request has arrived.",
        part=Part.WORKER,
    ),
    setting(
        "underscores",
        Choice([each.value for each in Underscores], Underscores),
        Section.REQUESTS,
        "Header fields with an underscore in their name: drop them, refuse their request, or allow "
        "them.",
        part=Part.WORKER,
        gunicorn="header_map",
    ),
    setting(
        "reserved",
        Text(_path),
        Section.REQUESTS,
        "Serve requests for this path, a health check by the application, in a lane of their own "
        "while all threads are busy. Can be repeated.",
        many=True,
        metavar="PATH",
    ),
    setting(
        "health",
        Text(_path),
        Section.REQUESTS,
        "Path of a health check that the server itself answers, also while all threads are busy: "
        "200 while it serves, 503 when it ends.",
        part=Part.WORKER,
        metavar="PATH",
    ),
    setting(
        "request-ids",
        FLAG,
        Section.REQUESTS,
        "Give every request an id, for the application and the access log.",
        default=False,
    ),
    setting(
        "request-ids-trusted",
        Words(Networks),
        Section.REQUESTS,
        "Networks of proxies whose X-Request-ID is taken as the id, with commas between them; unix "
        "for the peers of Unix sockets. Without it every id is made here.",
        part=Part.REQUEST_IDS,
        keyword="trusted",
        metavar="NETWORKS",
        needs="request-ids",
    ),
    setting(
        "request-ids-echo",
        FLAG,
        Section.REQUESTS,
        "Send the id to the client, in X-Request-ID.",
        part=Part.REQUEST_IDS,
        keyword="echo",
        needs="request-ids",
    ),
    # -- proxies -----------------------------------------------------------------------------------
    setting(
        "trusted-proxies",
        Words(Networks, none=True),
        Section.PROXIES,
        "Networks of proxies that are believed in what their header fields tell of clients, with "
        "commas between them; unix for the peers of Unix sockets; none to believe nobody. Without "
        "it such fields are left to the application.",
        part=Part.WORKER,
        metavar="NETWORKS",
        gunicorn="forwarded_allow_ips",
    ),
    setting(
        "proxy-fields",
        Words(_check_fields),
        Section.PROXIES,
        "Header fields that every one of these proxies sets, with commas between them: Forwarded, "
        "or some of X-Forwarded-For, -Proto, -Host, -Port and -Prefix. Without it the first two of "
        "those.",
        part=Part.WORKER,
        metavar="FIELDS",
        gunicorn="forwarder_headers",
        needs="trusted-proxies",
    ),
    setting(
        "proxy-protocol",
        Words(Networks),
        Section.PROXIES,
        "Networks of proxies that begin every connection, at every address, with a PROXY protocol "
        "header; nobody else can connect. Without it there is no such header.",
        part=Part.LISTENER,
        metavar="NETWORKS",
        gunicorn="proxy_protocol, proxy_allow_ips",
    ),
    # -- static files ------------------------------------------------------------------------------
    setting(
        "static",
        DIRECTORY_AT_PATH,
        Section.FILES,
        "Serve the files of DIR at /PATH, beside the application; without /PATH= serve them, and "
        "no application. Can be repeated.",
        many=True,
        metavar="[/PATH=]DIR",
    ),
    setting(
        "static-index",
        Text(_index),
        Section.FILES,
        "File that is served for a directory.",
        part=Part.FILES,
        keyword="index",
        metavar="NAME",
        needs="static",
    ),
    setting(
        "static-cache-control",
        Text(_cache_control),
        Section.FILES,
        "Value of Cache-Control for every file. Without it there is no such field.",
        part=Part.FILES,
        keyword="cache_control",
        metavar="VALUE",
        needs="static",
    ),
    setting(
        "static-precompressed",
        FLAG,
        Section.FILES,
        "Send NAME.br or NAME.gz for NAME to clients that accept it.",
        part=Part.FILES,
        keyword="precompressed",
        needs="static",
    ),
    setting(
        "static-listing",
        FLAG,
        Section.FILES,
        "Show directories that have no index.",
        part=Part.FILES,
        keyword="listing",
        needs="static",
    ),
    setting(
        "static-follow-links",
        FLAG,
        Section.FILES,
        "Let symbolic links lead out of the directory.",
        part=Part.FILES,
        keyword="follow_links",
        needs="static",
    ),
    # -- logs --------------------------------------------------------------------------------------
    setting(
        "log-level",
        Choice(["debug", "info", "warning", "error"]),
        Section.LOGS,
        "Least severe messages on standard error; debug also shows the traceback of an error.",
        default="info",
        gunicorn="loglevel",
    ),
    setting(
        "access-log",
        Text(_log_path),
        Section.LOGS,
        "File to which a line for each request is appended; - for standard output. Without it "
        "there is no such log.",
        metavar="PATH",
        gunicorn="access_logfile",
    ),
    setting(
        "access-log-format",
        Text(_log_format),
        Section.LOGS,
        "Format of its lines: combined, json, json:FIELD,FIELD, or a text with fields in braces.",
        part=Part.ACCESS_LOG,
        keyword="format",
        metavar="FORMAT",
        needs="access-log",
        gunicorn="access_log_format",
    ),
    setting(
        "access-log-max-lines",
        Whole(1, unit="lines"),
        Section.LOGS,
        "Lines that wait for the access log to be written, before others are dropped.",
        part=Part.ACCESS_LOG,
        keyword="max_lines",
        needs="access-log",
    ),
)
