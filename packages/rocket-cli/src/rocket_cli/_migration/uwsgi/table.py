"""The options of uWSGI 2.0, and what becomes of them.

Options that are seldom used alone are in groups, by a pattern; the first pattern that fits counts.
"""

from __future__ import annotations

from typing import Final

from rocket_cli._migration import rules
from rocket_cli._migration.counterparts import Row, Table, carried, lost, needless
from rocket_cli._migration.uwsgi import carrying

_ALWAYS: Final = "This is always the case."
_API: Final = (
    "The module uwsgi does not exist here. Give this to a service of its own: Redis for caches and "
    "queues, Celery or RQ for tasks, a systemd timer for what is to happen at a time."
)
_SYSTEMD: Final = "Set this in the unit of systemd:"
_HOOKS: Final = (
    "Use ExecStartPre= and ExecStopPost= of systemd for commands, and hooks for Python functions."
)
_ROUTES: Final = "Let the proxy do this (nginx: location and rewrite), or a WSGI middleware."
_CHEAPER: Final = (
    "Processes are not started as needed, threads are: threads = MIN:MAX. The number of processes "
    "is that of processes; rocket-cli resize changes it."
)
_STATIC_EXPIRES: Final = "All files get the same Cache-Control: static-cache-control."
_VENV: Final = (
    "The command serves with the environment that it is installed in: install Rocket in the "
    "environment of the application, and start its bin/rocket-cli."
)
_ALARMS: Final = "Use metrics, and the alert rules in docs/observation."
_LOGGERS: Final = (
    "Messages go to error-log, requests to access-log: a file, or standard error and output, which "
    "systemd or the container passes on."
)
_EMPEROR: Final = (
    "There is no emperor: write a unit of systemd for each application, or a template "
    "(mysite@.service)."
)
_LANGUAGES: Final = "Only WSGI applications in Python are served."
_ROUTER: Final = "There is no router in front of the processes: they accept connections themselves."
_LIMITS: Final = (
    "The limits of a request head are fixed: 8 KiB for the request line, 64 KiB for all fields."
)
_CONFIG: Final = (
    "The settings file is TOML, without conditions and placeholders; see also env-file."
)

UWSGI: Final = Table(
    "uWSGI",
    {
        "Sockets": [
            carried(
                "http",
                "bind",
                carrying.http,
                "The processes accept connections themselves; there is no router.",
                names=("httprouter",),
            ),
            carried("http-socket", "bind", carrying.http, names=("http11-socket",)),
            carried(
                "https",
                "bind tls-cert tls-key",
                carrying.https,
                "The value has the certificate and the key.",
                names=("https2", "https-socket", "https-socket-with-ca"),
            ),
            carried(
                "socket",
                "bind",
                carrying.uwsgi_socket,
                "There is no uwsgi protocol: in nginx, write proxy_pass http://... in place of "
                "uwsgi_pass, and set the X-Forwarded fields.",
                names=("s", "uwsgi-socket"),
            ),
            carried(
                "protocol",
                "bind",
                carrying.nothing,
                "HTTP only. It decides what socket means.",
                names=("socket-protocol",),
            ),
            carried("listen", "backlog", rules.number("backlog"), names=("l",)),
            carried("reuse-port", "reuse-port", rules.flag("reuse-port")),
            lost(
                "chmod-socket",
                "The mode of the socket follows umask: 007 gives the group access, 000 everyone.",
                "umask",
                names=("C", "chmod"),
            ),
            lost("chown-socket", "The socket belongs to user and group.", "user group"),
            carried(
                "http-keepalive",
                "keep-alive",
                carrying.http_keepalive,
                "Connections are always kept, 75 s by default.",
            ),
            lost(
                "enable-proxy-protocol",
                'Name the proxies: proxy-protocol = ["10.0.0.0/8"].',
                "proxy-protocol",
                names=("http-enable-proxy-protocol", "https-enable-proxy-protocol"),
            ),
            needless(
                "http-timeout",
                "A silent client holds no thread; see stall-timeout and minimum-rate.",
                names=("http-headers-timeout", "http-connect-timeout"),
            ),
            needless("socket-timeout", "See stall-timeout and minimum-rate.", names=("z",)),
            needless("so-keepalive", "Idle connections are closed after keep-alive."),
            needless("tcp-nodelay", _ALWAYS),
            needless("abstract-socket", "Use a socket with a path.", names=("a",)),
            needless("http-auto-chunked", _ALWAYS, names=("http-chunked-input", "http-raw-body")),
            needless("http-manage-expect", _ALWAYS),
            needless("http-websockets", "Websockets need no option, see docs/waiting.md."),
            carried("http-auto-gzip", "compress", rules.flag("compress")),
            lost(
                "*-socket-modifier*",
                _LANGUAGES,
                names=("*modifier1", "*modifier2", "allowed-modifiers", "remap-modifier"),
            ),
            lost(
                "fastcgi-*",
                "There is no FastCGI or SCGI: let the proxy speak HTTP.",
                names=("scgi-*", "puwsgi-*", "raw-*"),
            ),
            lost(
                "udp",
                "Only TCP and Unix sockets are served.",
                names=(
                    "multicast*",
                    "snmp*",
                    "shared-socket",
                    "undeferred-shared-socket",
                    "map-socket",
                ),
            ),
            needless(
                "freebind",
                "See IP_FREEBIND in the [Socket] unit of systemd (FreeBind=).",
                names=(
                    "no-fd-passing",
                    "no-defer-accept",
                    "tcp-fast*",
                    "socket-*buf",
                    "so-*",
                    "socket-*-timeout",
                    "shutdown-sockets",
                ),
            ),
        ],
        "Application": [
            carried(
                "module",
                "app",
                carrying.nothing,
                "With callable: MODULE:APP.",
                names=("w", "wsgi"),
            ),
            carried("callable", "app", carrying.nothing),
            carried(
                "wsgi-file",
                "app",
                carrying.nothing,
                "The path becomes the name of a module, relative to chdir.",
                names=("file",),
            ),
            carried(
                "mount",
                "root-path app",
                carrying.nothing,
                "One application at one path. For several, let the proxy distribute requests, or "
                "combine them with DispatcherMiddleware of werkzeug.",
                names=("worker-mount",),
            ),
            needless("manage-script-name", "root-path does that.", names=("ignore-script-name",)),
            carried("chdir", "chdir", rules.text("chdir"), names=("chdir2",)),
            carried(
                "pythonpath",
                "chdir",
                carrying.pythonpath,
                "The current directory is on the import path. For others set PYTHONPATH.",
                names=("python-path", "pp"),
            ),
            lost("virtualenv", _VENV, names=("home", "H", "venv", "pyhome")),
            carried(
                "env",
                "env-file",
                carrying.env,
                "Written to a file with --env-output FILE.",
            ),
            lost(
                "envdir",
                "Put the variables in a file, as NAME=VALUE: env-file.",
                "env-file",
                names=("early-envdir",),
            ),
            lost("unenv", "Start the server without the variable."),
            lost(
                "paste",
                "Write a module with the lines: from paste.deploy import loadapp; application = "
                'loadapp("config:/srv/mysite/production.ini"). Set app to it.',
                "app",
                names=("ini-paste", "ini-paste-logged", "paste-logger", "pecan"),
            ),
            needless("need-app", _ALWAYS, names=("no-default-app",)),
            needless("single-interpreter", _ALWAYS, names=("i",)),
            needless("strict", "Unknown settings are errors here, always."),
            needless(
                "plugin",
                "There are no plugins.",
                names=(
                    "plugins",
                    "need-plugin",
                    "need-plugins",
                    "plugin-dir",
                    "plugins-dir",
                    "plugins-list",
                    "plugin-list",
                    "autoload",
                    "dlopen",
                    "build-plugin",
                ),
            ),
            lost(
                "import",
                "Import the module in the one of the application.",
                names=(
                    "pyimport",
                    "py-import",
                    "python-import",
                    "shared-*import*",
                    "spooler-*import*",
                    "pymodule-alias",
                    "post-pymodule-alias",
                ),
            ),
            lost("optimize", "Set the variable PYTHONOPTIMIZE.", names=("O",)),
            lost("pyargv", "sys.argv is that of rocket-cli."),
            lost("eval", "Write a module that names the application.", names=("J", "test")),
            lost("vhost", "Serve each application by a server of its own.", names=("vhost-host",)),
            needless("max-apps", "A server has one application."),
        ],
        "Processes and threads": [
            carried(
                "processes",
                "processes",
                rules.number("processes"),
                "0 is one per processor.",
                names=("workers", "p"),
            ),
            carried(
                "threads",
                "threads",
                rules.number("threads"),
                "Threads of a process, which clients do not hold. Without it, threads = 1.",
            ),
            needless("enable-threads", _ALWAYS, names=("T", "no-threads-wait")),
            needless(
                "thread-stacksize",
                "The stack of a thread has the usual size.",
                names=("threads-stacksize", "thread-stack-size", "threads-stack-size"),
            ),
            carried(
                "gevent",
                "threads",
                carrying.greenlets,
                "Greenlets are threads here; remove monkey patches.",
                names=(
                    "gevent-monkey-patch",
                    "gevent-early-monkey-patch",
                    "gevent-wait-for-hub",
                    "ugreen",
                    "ugreen-stacksize",
                    "async",
                    "asyncio",
                    "greenlet",
                    "loop",
                ),
            ),
            needless("master", "There is always a supervisor.", names=("M",)),
            needless(
                "thunder-lock",
                "A connection wakes one process only.",
                names=("locks", "lock-engine", "ftok", "persistent-ipcsem", "flock*", "lock-*"),
            ),
            carried(
                "max-requests",
                "max-requests",
                rules.number("max-requests"),
                names=("R",),
            ),
            carried(
                "max-requests-delta",
                "max-requests-jitter",
                rules.number("max-requests-jitter"),
                "A random number, not the number of the worker times this.",
            ),
            carried("max-worker-lifetime", "max-lifetime", rules.number("max-lifetime")),
            carried(
                "max-worker-lifetime-delta",
                "max-lifetime-jitter",
                rules.number("max-lifetime-jitter"),
                "A random time, not the number of the worker times this.",
            ),
            needless("min-worker-lifetime", "Processes that end early are restarted with pauses."),
            carried(
                "reload-on-rss",
                "max-rss",
                carrying.megabytes("max-rss"),
                "In bytes, or with a unit: 256M.",
                names=("evil-reload-on-rss",),
            ),
            lost(
                "reload-on-as",
                "See max-rss, which limits resident memory.",
                "max-rss",
                names=("evil-reload-on-as",),
            ),
            carried(
                "harakiri",
                "request-timeout",
                carrying.harakiri,
                "504, and the thread is replaced; the process and its other requests go on.",
                names=("t", "http-harakiri"),
            ),
            needless(
                "harakiri-*",
                "The log has the stack of the thread, always.",
                names=("no-harakiri-*", "backtrace-depth"),
            ),
            carried(
                "worker-reload-mercy",
                "graceful-timeout",
                rules.number("graceful-timeout"),
                "Running requests get this long at the end.",
                names=("reload-mercy",),
            ),
            needless(
                "die-on-term",
                "SIGTERM stops the server gracefully.",
                names=("exit-on-reload", "force-gateway"),
            ),
            needless("vacuum", "Sockets and the PID file are removed at the end."),
            lost(
                "cheaper", _CHEAPER, "threads", names=("cheap", "cheaper-*", "idle", "die-on-idle")
            ),
            needless(
                "lazy-apps",
                "Each process imports the application, unless preload is set.",
                names=("lazy",),
            ),
            carried("uid", "user", rules.text("user"), names=("immediate-uid",)),
            carried("gid", "group", rules.text("group"), names=("immediate-gid",)),
            lost("add-gid", "The processes get the supplementary groups of user."),
            needless(
                "no-initgroups",
                "The processes get the supplementary groups of user.",
                names=("master-as-root", "drop-after-*"),
            ),
            carried("umask", "umask", rules.umask),
            carried(
                "pidfile",
                "pid",
                rules.text("pid"),
                names=("pidfile2", "safe-pidfile", "safe-pidfile2"),
            ),
            carried(
                "daemonize",
                "error-log",
                carrying.daemonize,
                "The server stays in the foreground, see systemd. The path is that of the log.",
                names=("d", "daemonize2"),
            ),
            carried(
                "procname-prefix",
                "process-name",
                rules.text("process-name"),
                names=("procname", "procname-prefix-spaced", "procname-master"),
            ),
            needless(
                "auto-procname",
                "With rocket-cli[titles] processes have titles.",
                names=("procname-append",),
            ),
            carried(
                "max-fd",
                "max-connections",
                carrying.max_fd,
                "The soft limit is raised to the hard one. Set LimitNOFILE= in systemd.",
            ),
            lost(
                "cpu-affinity",
                f"{_SYSTEMD} CPUAffinity=, Nice=, MemoryMax=, LimitAS=.",
                names=("prio", "limit-*", "cgroup*", "never-swap", "ksm"),
            ),
            lost(
                "chroot",
                f"{_SYSTEMD} RootDirectory=, PrivateTmp= and others.",
                names=(
                    "pivot*",
                    "unshare*",
                    "setns*",
                    "namespace*",
                    "ns*",
                    "jailed",
                    "refork*",
                    "re-fork*",
                    "mount-*",
                    "umount-*",
                    "check-mount*",
                    "mountpoint-check",
                ),
            ),
            lost("wait-*", f"{_SYSTEMD} After=, RequiresMountsFor=."),
            needless("no-orphans", "Processes whose supervisor has ended drain and end."),
            needless(
                "reaper", _ALWAYS, names=("r", "heartbeat", "check-interval", "forkbomb-delay")
            ),
            needless(
                "close-on-exec",
                _ALWAYS,
                names=("close-on-exec2", "safe-fd", "fd-safe", "force-cwd", "honour-stdin"),
            ),
            needless(
                "skip-*",
                "Processes end as Python ends.",
                names=("mem-collector-freq", "ping", "ping-timeout"),
            ),
            lost("weight", "Let the proxy weigh its servers.", names=("auto-weight",)),
            lost(
                "*binary-*",
                "SIGUSR2 starts a new supervisor from the installed files.",
                names=("binsh",),
            ),
        ],
        "Requests": [
            needless(
                "buffer-size", _LIMITS, names=("b", "max-vars", "v", "response-headers-limit")
            ),
            needless(
                "post-buffering",
                "The body arrives before the application is called; up to 1 MiB is in memory.",
                names=("post-buffering-bufsize", "body-read-warning", "upload-progress"),
            ),
            carried("limit-post", "max-body", rules.number("max-body")),
            needless("chunked-input-*", "See max-body and stall-timeout."),
            needless(
                "ignore-sigpipe",
                "A client that disconnects is not an error.",
                names=(
                    "ignore-write-errors",
                    "write-errors-tolerance",
                    "write-errors-exception-only",
                    "disable-write-exception",
                ),
            ),
            lost(
                "catch-exceptions",
                "The client gets 500, the log has the traceback.",
                names=("reload-on-exception", "reload-on-exception-*", "exception-handler"),
            ),
            lost(
                "add-header",
                "Let the application or the proxy add header fields.",
                names=(
                    "rem-header",
                    "del-header",
                    "collect-header",
                    "response-header-collect",
                    "pull-header",
                ),
            ),
            lost("*route*", _ROUTES, names=("error-page-*",)),
            carried(
                "websockets-max-size",
                "websocket-max-message",
                carrying.kilobytes("websocket-max-message"),
                names=("websocket-max-size",),
            ),
            carried(
                "websockets-ping-freq",
                "websocket-ping",
                rules.number("websocket-ping"),
                names=("websocket-ping-freq",),
            ),
            needless(
                "websockets-pong-tolerance",
                "The time is that of websocket-ping.",
                names=("websocket-pong-tolerance",),
            ),
            needless(
                "wsgi-*",
                "The interface is PEP 3333, strictly.",
                names=(
                    "web3",
                    "pump",
                    "log-ioerror",
                    "py-call-*",
                    "reload-os-env",
                    "no-site",
                    "py-programname",
                    "py-program-name",
                    "py-executable",
                    "py-sys-executable",
                    "python-worker-override",
                    "py-sharedarea",
                ),
            ),
            needless("honour-range", _ALWAYS),
        ],
        "Static files": [
            carried(
                "static-map",
                "static",
                carrying.static_map,
                "/PATH=DIR.",
                names=("static-map2",),
            ),
            carried("static-index", "static-index", rules.text("static-index")),
            carried(
                "static-gzip-all",
                "static-precompressed",
                rules.flag("static-precompressed"),
                names=(
                    "static-gzip",
                    "static-gzip-dir",
                    "static-gzip-prefix",
                    "static-gzip-ext",
                    "static-gzip-suffix",
                ),
            ),
            lost(
                "check-static",
                'Serve the directory at a path: static = ["/static=DIR"].',
                "static",
                names=("static-check", "check-static-docroot"),
            ),
            lost("static-expires*", _STATIC_EXPIRES, "static-cache-control"),
            lost("static-safe", "See static-follow-links.", "static-follow-links"),
            needless(
                "static-*",
                "Files are found again without a cache.",
                names=(
                    "mimefile",
                    "mime-file",
                    "file-serve-mode",
                    "fileserve-mode",
                    "disable-sendfile",
                    "check-cache",
                ),
            ),
            needless(
                "offload-threads",
                "A response that is in memory or a file needs no thread.",
                names=("offload-thread",),
            ),
        ],
        "Logs and statistics": [
            carried(
                "logto",
                "error-log access-log",
                carrying.nothing,
                "Messages and requests go to this file, as they did.",
                names=("logto2",),
            ),
            carried(
                "disable-logging",
                "access-log",
                carrying.nothing,
                'uWSGI logs each request unless this is set: access-log = "-".',
                names=("L",),
            ),
            carried(
                "log-format",
                "access-log-format",
                carrying.log_format,
                "Fields have names in braces; the common ones are translated.",
                names=("logformat",),
            ),
            lost(
                "log-4xx",
                "Requests are all logged, or none.",
                names=("log-5xx", "log-slow", "log-big", "log-zero", "log-sendfile"),
            ),
            lost(
                "log-x-forwarded-for",
                "See trusted-proxies: the client is REMOTE_ADDR then.",
                "trusted-proxies",
            ),
            lost(
                "touch-logreopen",
                "SIGUSR1 opens the logs again.",
                names=(
                    "touch-logrotate",
                    "log-reopen",
                    "log-truncate",
                    "log-maxsize",
                    "log-backupname",
                ),
            ),
            lost(
                "log-syslog",
                _LOGGERS,
                names=(
                    "rsyslog-*",
                    "logger*",
                    "req-logger",
                    "log-socket",
                    "log-encoder",
                    "log-req-encoder",
                    "log-route",
                    "log-req-route",
                    "log-filter",
                    "log-drain",
                    "threaded-logger",
                    "loggers-list",
                ),
            ),
            needless(
                "log-date",
                "Each line has the time.",
                names=(
                    "logdate",
                    "log-prefix",
                    "log-micros",
                    "log-master*",
                    "logfile-*",
                    "log-format-strftime",
                    "logformat-strftime",
                ),
            ),
            lost(
                "memory-report",
                "See the metrics of memory, rocket-cli top, and max-rss.",
                "metrics max-rss",
                names=("m",),
            ),
            lost(
                "stats",
                "Use metrics for Prometheus, and admin for rocket-cli top and stats.",
                "metrics admin",
                names=("stats-server", "stats-*", "http-stats*", "http-ss"),
            ),
            lost(
                "carbon*",
                "Use metrics.",
                "metrics",
                names=("enable-metrics", "metric*", "rrdtool*", "dogstatsd*", "statsd*", "nagios"),
            ),
            lost(
                "alarm*",
                _ALARMS,
                names=(
                    "log-alarm",
                    "not-log-alarm",
                    "not-alarm-log",
                    "backlog-alarm",
                    "lq-alarm",
                    "listen-queue-alarm",
                    "segfault-alarm",
                ),
            ),
            lost(
                "profiler",
                "Use py-spy, or rocket-cli threads.",
                names=("py-tracebacker", "pyshell*", "pyrun", "use-abort"),
            ),
        ],
        "Reloads and hooks": [
            carried(
                "py-autoreload",
                "reload",
                carrying.autoreload,
                "Needs rocket-cli[reload].",
                names=("py-auto-reload", "python-auto-reload", "python-autoreload"),
            ),
            lost("py-auto-reload-ignore", "Only code that is imported is watched."),
            lost(
                "touch-reload",
                "Reload with SIGHUP or rocket-cli reload: the old processes serve until the new "
                "ones are ready.",
                names=(
                    "touch-workers-reload",
                    "touch-chain-reload",
                    "fs-reload",
                    "fs-brutal-reload",
                    "reload-on-fd",
                    "brutal-reload-on-fd",
                ),
            ),
            needless("hook-master-start", "SIGTERM stops the server gracefully."),
            lost(
                "hook-*",
                _HOOKS,
                names=(
                    "exec-*",
                    "call-*",
                    "after-request-*",
                    "symcall*",
                    "touch-exec",
                    "worker-exec",
                    "worker-exec2",
                ),
            ),
            lost("master-fifo", "Use rocket-cli reload, drain and resize.", "admin"),
            needless("notify-socket", "READY=1 is sent to systemd (Type=notify)."),
        ],
        "Configuration": [
            lost(
                "ini",
                "Run the command for that file, too, and join the results.",
                names=(
                    "yaml",
                    "yml",
                    "y",
                    "json",
                    "js",
                    "j",
                    "xml",
                    "xmlconfig",
                    "x",
                    "config",
                    "inherit",
                    "include",
                    "inject-*",
                    "fallback-config",
                    "config-py",
                ),
            ),
            lost(
                "if-*",
                _CONFIG,
                names=(
                    "ifenv",
                    "ifexists",
                    "ifplugin",
                    "ifdir",
                    "endif",
                    "end-if",
                    "for",
                    "for-*",
                    "endfor",
                    "end-for",
                    "set",
                    "S",
                    "set-placeholder",
                    "set-ph",
                    "get",
                    "declare-option*",
                    "resolve",
                    "blacklist",
                    "end-blacklist",
                    "whitelist",
                    "end-whitelist",
                    "file-write",
                    "propagate-touch",
                ),
            ),
            needless(
                "show-config",
                "It is a command: rocket-cli config.",
                names=(
                    "dump-options",
                    "print*",
                    "pcre-jit",
                    "mode",
                    "iprint",
                    "exit",
                    "version",
                    "help",
                    "h",
                    "usage",
                    "cflags",
                    "dot-h",
                    "python-version",
                    "cheaper-list",
                    "clock*",
                    "router-list",
                    "routers-list",
                    "loop-list",
                    "loops-list",
                    "alarm-list",
                    "alarms-list",
                    "imperial-*",
                    "binary-append-data",
                    "extract",
                    "connect-and-read",
                    "command-mode",
                    "no-server",
                ),
            ),
            lost(
                "start",
                "Use systemctl, or the signals of the supervisor.",
                names=("stop", "reload", "pause", "suspend", "resume", "signal"),
            ),
        ],
        "Not there": [
            lost("emperor*", _EMPEROR, names=("vassal*", "early-emperor", "zerg*", "heartbeat-*")),
            lost(
                "subscri*",
                "Let the proxy or Kubernetes find the servers.",
                names=("st", "unsubscribe-*", "start-unsubscribed", "http-subscription-*"),
            ),
            lost(
                "spooler*",
                _API,
                names=(
                    "Q",
                    "mule*",
                    "mules",
                    "farm",
                    "cron*",
                    "unique-cron",
                    "timer",
                    "rbtimer",
                    "signal-*",
                    "signals-*",
                    "cache*",
                    "cache2",
                    "add-cache-item",
                    "load-file-in-cache*",
                    "queue*",
                    "sharedarea",
                    "A",
                    "rpc-max",
                    "touch-mules-reload",
                    "touch-spoolers-reload",
                    "touch-signal",
                    "fs-signal",
                ),
            ),
            lost(
                "attach-*",
                "Start other programs by systemd units of their own.",
                names=("smart-attach-*", "daemons-*"),
            ),
            lost("http-*", _ROUTER, names=("httprouter-*",)),
            lost(
                "fastrouter*",
                _ROUTER,
                names=("rawrouter*", "forkpty*", "tuntap*", "sslrouter*", "zergpool", "zerg-pool"),
            ),
            lost(
                "ssl-*",
                "See tls-profile, tls-min-version and tls-ciphers.",
                "tls-profile tls-min-version tls-ciphers",
                names=("sni*", "hsts*", "legion*"),
            ),
            lost(
                "cgi*",
                _LANGUAGES,
                names=(
                    "php*",
                    "psgi*",
                    "rack*",
                    "ruby*",
                    "lua*",
                    "jvm*",
                    "mono*",
                    "go*",
                    "c",
                    "cgi-mode",
                    "python-raw",
                    "python",
                    "py",
                    "wsgi-lite",
                ),
            ),
        ],
    },
)


def find(name: str) -> Row | None:
    """Return the row of an option, with or without the dashes of the command line."""
    return UWSGI.find(name.lstrip("-"))
