"""The names that settings have in uvicorn and uWSGI.

Those of gunicorn are in the table of settings, because the command knows them, too. The names were
looked up in the helps of uvicorn 0.54 and uWSGI 2.0. As in that table, a counterpart does the same
or nearly the same; units and defaults differ.
"""

from __future__ import annotations

from typing import Final

UVICORN: Final = {
    "env-file": "--env-file",
    "bind": "--host, --port, --uds, --fd",
    "backlog": "--backlog",
    "http2": "--http2",
    "tls-cert": "--ssl-certfile",
    "tls-key": "--ssl-keyfile",
    "tls-key-password-file": "--ssl-keyfile-password",
    "tls-min-version": "--ssl-version",
    "tls-ciphers": "--ssl-ciphers",
    "tls-client-certificates": "--ssl-cert-reqs",
    "tls-client-ca": "--ssl-ca-certs",
    "processes": "--workers",
    "max-requests": "--limit-max-requests",
    "max-requests-jitter": "--limit-max-requests-jitter",
    "chdir": "--app-dir",
    "max-queue": "--limit-concurrency",
    "websocket-max-message": "--ws-max-size",
    "graceful-timeout": "--timeout-graceful-shutdown",
    "keep-alive": "--timeout-keep-alive",
    "websocket-ping": "--ws-ping-interval, --ws-ping-timeout",
    "root-path": "--root-path",
    "server-header": "--server-header",
    "trusted-proxies": "--proxy-headers, --forwarded-allow-ips",
    "log-level": "--log-level",
    "access-log": "--access-log",
    "reload": "--reload",
}
"""The options of uvicorn, by the setting to which they correspond."""

UWSGI: Final = {
    "app": "module, wsgi-file, callable",
    "env-file": "env, envdir",
    "hooks": "hook-post-fork",
    "bind": "http-socket, socket",
    "backlog": "listen",
    "processes": "processes, workers",
    "max-requests": "max-requests",
    "max-requests-jitter": "max-requests-delta",
    "max-lifetime": "max-worker-lifetime",
    "max-lifetime-jitter": "max-worker-lifetime-delta",
    "max-rss": "reload-on-rss",
    "preload": "lazy-apps, the opposite",
    "pid": "pidfile",
    "process-name": "procname-prefix",
    "user": "uid",
    "group": "gid",
    "umask": "umask",
    "chdir": "chdir",
    "threads": "threads",
    "max-body": "limit-post",
    "websocket-max-message": "websockets-max-size",
    "graceful-timeout": "worker-reload-mercy",
    "request-timeout": "harakiri",
    "stall-timeout": "socket-timeout",
    "websocket-ping": "websockets-ping-freq",
    "root-path": "mount",
    "proxy-protocol": "enable-proxy-protocol",
    "static": "static-map",
    "static-index": "static-index",
    "static-precompressed": "static-gzip-all",
    "static-follow-links": "static-safe",
    "error-log": "logto",
    "access-log": "req-logger, disable-logging",
    "access-log-format": "log-format",
    "admin": "stats",
    "reload": "py-autoreload",
}
"""The options of uWSGI, by the setting to which they correspond."""
