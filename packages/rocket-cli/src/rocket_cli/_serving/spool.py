"""Whether the files of uploads can be written where they are kept."""

from __future__ import annotations

from rocket_cli._settings.chosen import Chosen
from rocket_core.extending import spool_fault


def spool_doubt(chosen: Chosen) -> str:
    """Return a sentence about uploads that would be refused for lack of room; empty without any.

    The calling process has the identity of the server.
    """
    if chosen["stream-bodies"] or not chosen["max-spool"]:
        return ""
    fault = spool_fault(chosen["spool-free"])
    return f"large uploads would be refused with 503: {fault}" if fault else ""
