"""The processes that serve one version of the application."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rocket_cli._application.site import Site
from rocket_cli._settings.chosen import Chosen
from rocket_cli._sockets.bound_sockets import BoundSocket


@dataclass(slots=True, eq=False)
class Generation:
    """The processes that serve one version of the application.

    Attributes:
        number: counted from 1.
        chosen: their settings.
        sockets: where they listen.
        size: how many there are to be.
        site: what they serve, where it is loaded before they are forked.
    """

    number: int
    chosen: Chosen
    sockets: list[BoundSocket]
    size: int
    site: Site | None = None


def size_of(chosen: Chosen) -> int:
    """How many processes are chosen."""
    size: int = chosen["processes"]
    return size or len(os.sched_getaffinity(0))
