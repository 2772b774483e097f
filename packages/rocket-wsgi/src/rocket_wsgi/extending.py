"""The names for programs that are built on rocket-wsgi, such as rocket-cli."""

from rocket_wsgi._access_log.sink import descriptor_of, open_log
from rocket_wsgi._file_worker import files_only
from rocket_wsgi._group.bus import Follower
from rocket_wsgi._group.shared_bus import connect_shared_groups
from rocket_wsgi._own_answers import OWN_STATUSES

__all__ = [
    "OWN_STATUSES",
    "Follower",
    "connect_shared_groups",
    "descriptor_of",
    "files_only",
    "open_log",
]

for _name in __all__:
    if callable(globals()[_name]):  # a class or a function, which then names this module as its own
        globals()[_name].__module__ = __name__
del _name
