"""A WSGI server (PEP 3333) on the threads and connections of `rocket_core`.

::

    from rocket_core import Listener, Server
    from rocket_wsgi import WSGIWorker

    with Server(lambda: WSGIWorker(application), [Listener("127.0.0.1:8000")]) as server:
        server.wait()

`rocket_wsgi.compat` has the interface of the original Rocket, `rocket_wsgi.django` what callbacks
need in a Django project, `rocket_wsgi.engineio` what Flask-SocketIO needs to hold no threads,
`rocket_wsgi.redis_bus` the bus between groups on several machines, and `rocket_wsgi.extending` the
names for programs that are built on this package.
"""

import sys as _sys

from rocket_wsgi._access_log.access_log import MAX_LINES, AccessLog
from rocket_wsgi._clock import SERVER
from rocket_wsgi._environ.field_names import Underscores
from rocket_wsgi._environ.request_id import RequestIds
from rocket_wsgi._errors import ApplicationError, BusError, Cancelled, CancelledBy
from rocket_wsgi._executor import Executor, Future, RememberedFutures
from rocket_wsgi._file_worker import FileWorker
from rocket_wsgi._group.group import Group
from rocket_wsgi._push.deferred_answer import DeferredAnswer
from rocket_wsgi._push.event_stream import EventStream
from rocket_wsgi._push.websocket import WebSocket
from rocket_wsgi._response.file_wrapper import FileWrapper
from rocket_wsgi._site import MAX_BODY, Site
from rocket_wsgi._static.files import StaticFiles
from rocket_wsgi._version import __version__
from rocket_wsgi._worker import WSGIWorker

compiled: bool = f"{__name__}._compiled__mypyc" in _sys.modules
"""Whether this process runs the compiled build: the modules above have loaded its library."""

__all__ = [
    "MAX_BODY",
    "MAX_LINES",
    "SERVER",
    "AccessLog",
    "ApplicationError",
    "BusError",
    "Cancelled",
    "CancelledBy",
    "DeferredAnswer",
    "EventStream",
    "Executor",
    "FileWorker",
    "FileWrapper",
    "Future",
    "Group",
    "RememberedFutures",
    "RequestIds",
    "Site",
    "StaticFiles",
    "Underscores",
    "WSGIWorker",
    "WebSocket",
    "__version__",
    "compiled",
]

for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
del _name
