"""The worker processes that serve one version of the application."""

from __future__ import annotations

from dataclasses import dataclass

from rocket_cli._application.site import Site
from rocket_cli._settings.chosen import Chosen
from rocket_cli._sockets.bound_sockets import BoundSocket
from rocket_core.extending import granted_cores


@dataclass(slots=True, eq=False)
class Generation:
    """The worker processes that serve one version of the application with one set of settings.

    Attributes:
        number: the number of the generation, counted from 1.
        chosen: the settings of its processes.
        sockets: the sockets that they listen on.
        size: the intended number of its processes.
        site: the application, if it was loaded before the fork (``--preload``).
    """

    number: int
    chosen: Chosen
    sockets: list[BoundSocket]
    size: int
    site: Site | None = None


def size_of(chosen: Chosen) -> int:
    """Return the number of processes that the settings ask for.

    0 stands for one per processor that they may use, within the quota of their control group.
    """
    size: int = chosen["processes"]
    return size or granted_cores()
