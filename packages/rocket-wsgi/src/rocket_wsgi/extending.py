"""The names for programs that are built on rocket-wsgi, such as rocket-cli."""

from rocket_wsgi._access_log.sink import descriptor_of, open_log
from rocket_wsgi._file_worker import files_only

__all__ = ["descriptor_of", "files_only", "open_log"]

for _name in __all__:
    globals()[_name].__module__ = __name__
del _name
