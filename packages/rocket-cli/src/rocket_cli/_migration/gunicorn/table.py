"""Every setting of gunicorn 27, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rocket_cli._migration import rules
from rocket_cli._migration.counterparts import Row, Table, carried, in_rocket, lost, needless
from rocket_cli._migration.draft import Draft
from rocket_cli._migration.gunicorn import carrying
from rocket_cli._migration.options import Given

SAME_HOOKS: Final = (
    "on_starting", "on_reload", "when_ready", "pre_fork", "post_fork", "child_exit", "worker_exit",
    "on_exit",
)  # fmt: skip
"""The hooks that have the same name and arguments here."""

_ASGI: Final = "It is for ASGI applications, which Rocket does not serve."
_DIRTY: Final = (
    "There are no dirty workers. Give long computations to a queue, such as Celery or RQ, or to "
    "wsgiorg.executor (executor-threads)."
)
_STRICT: Final = "Requests that are not valid HTTP are refused; there is no setting for exceptions."
_OWN_LOG: Final = (
    "The server writes its own log: see log-level, log-format (text or json), error-log and "
    "access-log. It leaves the loggers of the application alone; configure these in the "
    "application."
)
_STATSD: Final = (
    "There is no StatsD. Use metrics, which are for Prometheus; Telegraf, the Datadog agent and "
    "other collectors read them as well."
)
_SYSLOG: Final = (
    "There is no syslog. Under systemd, let error-log be standard error and access-log be -: the "
    "journal has both, and can pass them on."
)
_WINDOWS: Final = "The windows and frames of HTTP/2 are sized by the server."
_PASTE: Final = (
    "Write a module with the lines: from paste.deploy import loadapp; application = "
    'loadapp("config:/srv/mysite/production.ini"). Set app to it; global_conf is an argument of '
    "loadapp."
)
_STDIO: Final = (
    "Output of the application goes to the server's own standard output and error, unchanged."
)


def _same(
    name: str,
    carry: Callable[[Draft, Given], None],
    note: str = "",
    **others: Any,
) -> Row:
    """Make a row of a setting that the table of settings names."""
    return carried(name, in_rocket(name), carry, note, **others)


def _hook(name: str) -> Row:
    return carried(
        name,
        in_rocket(name),
        carrying.hook,
        "The same name and arguments, in the module that hooks names. server has pid, settings and "
        "log; worker has pid, generation and log.",
    )


GUNICORN: Final = Table(
    "gunicorn",
    {
        "Config file": [
            needless("config", "The settings file is rocket.toml, or --config.", names=("-c",)),
            _same("wsgi_app", rules.application, "A factory is called without arguments."),
        ],
        "Debugging": [
            _same("reload", rules.flag("reload", "Needs rocket-cli[reload]."), flag=True),
            needless(
                "reload_engine", "Changes are reported by the operating system.", default="auto"
            ),
            lost(
                "reload_extra_files",
                "Only code that is imported, the current directory and the settings file are "
                "watched.",
                "reload",
                names=("--reload-extra-file",),
                many=True,
            ),
            lost("spew", "Use a tracer or debugger of Python.", flag=True),
            needless("check_config", "It is a command: rocket-cli check.", flag=True),
            needless("print_config", "It is a command: rocket-cli config.", flag=True),
        ],
        "Server socket": [
            _same(
                "bind",
                carrying.bind,
                ":8000 is for IPv4 and IPv6 here; 0.0.0.0:8000 is written for it.",
                names=("-b",),
                many=True,
            ),
            _same("backlog", rules.number("backlog")),
        ],
        "Worker processes": [
            _same(
                "workers",
                rules.number("processes"),
                "0 is one per processor. With threads, as many processes as processors are enough.",
                names=("-w",),
            ),
            carried(
                "worker_class",
                "threads",
                carrying.worker_class,
                "There are no classes: each process has threads, which clients do not hold. sync "
                "becomes threads = 1, gthread keeps its threads, gevent and eventlet become "
                '"8:64". ASGI workers have no counterpart.',
                names=("-k",),
            ),
            _same(
                "threads",
                rules.number("threads"),
                "Threads of a process, which clients do not hold.",
            ),
            _same(
                "worker_connections",
                rules.number("max-connections"),
                "Open connections of a process; not for sync workers, which ignore it. By default "
                "half the file descriptors.",
            ),
            _same("max_requests", rules.number("max-requests")),
            _same("max_requests_jitter", rules.number("max-requests-jitter")),
            _same(
                "timeout",
                carrying.timeout,
                "For sync workers, a limit of each request: 504, and the thread is replaced; the "
                "default is no limit, not 30 s. With other classes it watches the process, for "
                "which nothing is needed here.",
                names=("-t",),
            ),
            _same("graceful_timeout", rules.number("graceful-timeout")),
            _same(
                "keepalive",
                carrying.keepalive,
                "sync workers close each connection and ignore it. The default is 75 s, not 2 s: "
                "idle connections hold no thread.",
                names=("--keep-alive",),
            ),
            lost("asgi_loop", _ASGI, default="auto"),
            lost("asgi_lifespan", _ASGI, default="auto"),
            lost("asgi_disconnect_grace_period", _ASGI, default=3),
            lost(
                "websocket_max_message_size",
                "It is for ASGI. For websockets of WSGI applications, see websocket-max-message "
                "(1 MiB by default).",
                "websocket-max-message",
                default=16777216,
            ),
            needless(
                "http_parser",
                "There is one parser, which is compiled in the compiled build.",
                default="auto",
            ),
        ],
        "Security": [
            needless("limit_request_line", carrying.HEADS, carry=carrying.head_limit(8192)),
            needless("limit_request_fields", carrying.HEADS, carry=carrying.head_limit(100)),
            needless(
                "limit_request_field_size",
                carrying.HEADS,
                names=("--limit-request-field_size",),
                carry=carrying.head_limit(16384),
            ),
        ],
        "Server mechanics": [
            _same(
                "preload_app",
                carrying.preload,
                "A reload replaces the supervisor as well.",
                names=("--preload",),
                flag=True,
            ),
            needless(
                "sendfile",
                "Files are sent by sendfile() where the system can.",
                names=("--no-sendfile",),
                flag=True,
            ),
            _same("reuse_port", rules.flag("reuse-port"), flag=True),
            _same("chdir", rules.text("chdir")),
            lost(
                "daemon",
                "The server stays in the foreground: let systemd start it (Type=notify), or a "
                "container.",
                names=("-D",),
                flag=True,
            ),
            _same(
                "raw_env",
                carrying.raw_env,
                "Written to a file with --env-output FILE.",
                names=("-e", "--env"),
                many=True,
            ),
            _same("pidfile", rules.text("pid"), names=("-p", "--pid")),
            needless("worker_tmp_dir", "Worker processes have no heartbeat file."),
            _same("user", rules.text("user"), names=("-u",)),
            _same("group", rules.text("group"), names=("-g",)),
            _same(
                "umask",
                rules.umask,
                "The default is the inherited mask, not 0: a Unix socket is not open for all users "
                "unless it is set.",
                names=("-m",),
            ),
            needless(
                "initgroups",
                "The processes always get the supplementary groups of the user.",
                flag=True,
            ),
            needless("tmp_upload_dir", "Large bodies are stored in the directory of TMPDIR."),
            carried(
                "secure_scheme_headers",
                "trusted-proxies proxy-fields",
                carrying.secure_scheme_headers,
                "Only X-Forwarded-Proto, or Forwarded, is taken for that.",
                default={
                    "X-FORWARDED-PROTOCOL": "ssl",
                    "X-FORWARDED-PROTO": "https",
                    "X-FORWARDED-SSL": "on",
                },
            ),
            _same(
                "forwarded_allow_ips",
                carrying.forwarded_allow_ips,
                "It also decides about REMOTE_ADDR. The default is none, not the loopback "
                "addresses; * cannot be carried over.",
            ),
            carried(
                "pythonpath",
                "chdir",
                carrying.pythonpath,
                "The current directory is on the import path. For others set PYTHONPATH.",
            ),
            lost(
                "paste",
                _PASTE,
                "app",
                names=("--paste", "--paster"),
            ),
            lost(
                "raw_paste_global_conf",
                _PASTE,
                names=("--paste-global",),
                many=True,
            ),
            _same(
                "proxy_protocol",
                carrying.proxy_protocol,
                "Versions 1 and 2. The addresses of the proxies are its value.",
            ),
            _same(
                "proxy_allow_ips",
                carrying.proxy_allow_ips,
                "Other clients are refused.",
                names=("--proxy-allow-from",),
            ),
            lost(
                "protocol",
                "There is no uwsgi protocol: in nginx, write proxy_pass in place of uwsgi_pass.",
                default="http",
            ),
            lost(
                "uwsgi_allow_ips",
                "There is no uwsgi protocol.",
                names=("--uwsgi-allow-from",),
                default="127.0.0.1,::1",
            ),
            lost("permit_obsolete_folding", _STRICT, flag=True),
            lost("strip_header_spaces", _STRICT, flag=True),
            needless("permit_unconventional_http_method", "Any token is a method.", flag=True),
            lost("permit_unconventional_http_version", _STRICT, flag=True),
            lost("casefold_http_method", _STRICT, flag=True),
            lost(
                "forwarder_headers",
                "SCRIPT_NAME is set by root-path, or by X-Forwarded-Prefix in proxy-fields. For "
                "others, let the application read a header field without an underscore.",
                in_rocket("forwarder_headers"),
                default="SCRIPT_NAME,PATH_INFO",
            ),
            _same("header_map", carrying.header_map, "dangerous is allow here."),
            lost("root_path", f"{_ASGI} For WSGI see root-path (SCRIPT_NAME).", "root-path"),
        ],
        "Logging": [
            _same(
                "accesslog",
                carrying.access_log,
                "- is standard output.",
                names=("--access-logfile",),
            ),
            needless(
                "disable_redirect_access_to_syslog",
                "There is no syslog.",
                flag=True,
            ),
            _same(
                "access_log_format",
                carrying.access_log_format,
                "Fields have names in braces; those of gunicorn are translated. combined and json "
                "are ready-made.",
                names=("--access-logformat",),
            ),
            _same(
                "errorlog",
                carrying.error_log,
                "- is standard error.",
                names=("--error-logfile", "--log-file"),
            ),
            _same("loglevel", carrying.log_level, "critical is error.", names=("--log-level",)),
            needless("capture_output", _STDIO, flag=True),
            lost("logger_class", _OWN_LOG, default="gunicorn.glogging.Logger"),
            lost("logconfig", _OWN_LOG, "log-format error-log access-log", names=("--log-config",)),
            lost("logconfig_dict", _OWN_LOG, "log-format error-log access-log"),
            lost(
                "logconfig_json",
                _OWN_LOG,
                "log-format error-log access-log",
                names=("--log-config-json",),
            ),
            lost("syslog_addr", _SYSLOG, names=("--log-syslog-to",), default="udp://localhost:514"),
            lost("syslog", _SYSLOG, names=("--log-syslog",), flag=True),
            lost("syslog_prefix", _SYSLOG, names=("--log-syslog-prefix",)),
            lost("syslog_facility", _SYSLOG, names=("--log-syslog-facility",), default="user"),
            needless("enable_stdio_inheritance", _STDIO, names=("-R",), flag=True),
            lost("statsd_host", _STATSD, "metrics"),
            lost("dogstatsd_tags", _STATSD, "metrics"),
            lost("statsd_prefix", _STATSD, "metrics"),
            lost(
                "enable_backlog_metric",
                "The metrics have the requests and connections that wait.",
                "metrics",
                flag=True,
            ),
        ],
        "Process naming": [
            _same("proc_name", rules.text("process-name"), names=("-n", "--name")),
            needless(
                "default_proc_name",
                "The name is that of the application, see process-name.",
                default="gunicorn",
            ),
        ],
        "Server hooks": [
            *(_hook(name) for name in SAME_HOOKS),
            lost(
                "post_worker_init",
                "It is worker_ready(server, worker) in the module that hooks names.",
                "hooks",
            ),
            lost("worker_int", "No function is called at SIGINT and SIGQUIT; see worker_exit."),
            lost(
                "worker_abort",
                "No worker is aborted: a request that exceeds request-timeout is answered 504, and "
                "the log has the stack of its thread.",
            ),
            lost(
                "pre_exec",
                "No function is called at SIGUSR2; the new supervisor calls on_starting.",
            ),
            lost(
                "pre_request",
                "Wrap the application in a WSGI middleware: it runs before and after each request.",
            ),
            lost(
                "post_request",
                "Wrap the application in a WSGI middleware: it runs before and after each request.",
            ),
            lost(
                "nworkers_changed", "No function is called for this; see pre_fork and child_exit."
            ),
            lost(
                "ssl_context",
                "Contexts are made by the server: see tls-profile, tls-min-version, tls-ciphers, "
                "and tls-dir for several certificates (SNI).",
                "tls-profile tls-min-version tls-ciphers tls-dir",
            ),
        ],
        "SSL": [
            _same("keyfile", rules.text("tls-key")),
            _same(
                "certfile",
                rules.text("tls-cert"),
                "The file is read again when it changes, without a reload.",
            ),
            _same(
                "ssl_version",
                carrying.ssl_version,
                "TLS 1.2 and 1.3 are accepted; older versions are not.",
                default=2,
            ),
            _same("cert_reqs", carrying.cert_reqs, "0 is off, 1 optional, 2 required."),
            _same("ca_certs", rules.text("tls-client-ca")),
            needless(
                "suppress_ragged_eofs",
                "A connection that ends without a TLS alert is closed quietly.",
                default=True,
                flag=True,
            ),
            needless(
                "do_handshake_on_connect",
                "Handshakes hold no thread, however slow the client is.",
                flag=True,
            ),
            _same("ciphers", rules.text("tls-ciphers"), "For TLS 1.2."),
        ],
        "HTTP/2": [
            _same(
                "http_protocols",
                carrying.http_protocols,
                "HTTP/2 is offered by default, beside HTTP/1.1.",
            ),
            _same(
                "http2_cleartext",
                carrying.http2_cleartext,
                "By prior knowledge, from trusted-proxies and loopback addresses.",
            ),
            needless("http2_max_concurrent_streams", "It is 100.", default=100),
            needless("http2_initial_window_size", _WINDOWS, default=65535),
            needless("http2_max_frame_size", _WINDOWS, default=16384),
            needless("http2_max_header_list_size", carrying.HEADS, default=65536),
        ],
        "Dirty arbiters": [
            lost("dirty_apps", _DIRTY, "executor-threads", names=("--dirty-app",), many=True),
            lost("dirty_workers", _DIRTY, "executor-threads"),
            lost("dirty_timeout", _DIRTY, default=300),
            lost("dirty_threads", _DIRTY, default=1),
            lost("dirty_graceful_timeout", _DIRTY, default=30),
            lost("on_dirty_starting", _DIRTY),
            lost("dirty_post_fork", _DIRTY),
            lost("dirty_worker_init", _DIRTY),
            lost("dirty_worker_exit", _DIRTY),
        ],
        "Control": [
            _same(
                "control_socket",
                carrying.control_socket,
                "There is none by default. rocket-cli top, stats, threads and others use it.",
            ),
            needless(
                "control_socket_mode",
                "Only the user of the server and root can open the socket.",
                default=384,
            ),
            needless(
                "control_socket_disable",
                "There is no admin socket by default.",
                names=("--no-control-socket",),
                flag=True,
            ),
        ],
    },
)
