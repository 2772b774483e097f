"""The names for programs that are built on rocket-wsgi, such as rocket-cli."""

from rocket_wsgi._access_log.sink import descriptor_of, open_log
from rocket_wsgi._own_answers import only_files

__all__ = ["descriptor_of", "only_files", "open_log"]

for _name in __all__:
    globals()[_name].__module__ = __name__
del _name
