"""The page on signals has those that the processes handle, and no others."""

from __future__ import annotations

import signal

from rocket_cli._processes.signals import _SPARED, ENDING
from rocket_cli._supervisor.signal_orders import SIGNALS
from systemtests.processes import ROOT
from systemtests.tables import rows

PAGE = ROOT / "docs" / "reference" / "signals.md"


def named(heading: str) -> set[str]:
    return {cells[0].partition(" ")[0] for cells in rows(PAGE, heading)}


def test_signals_of_the_supervisor() -> None:
    wanted = {each.name for each in SIGNALS}
    assert named("## To the supervisor") == wanted - {signal.SIGCHLD.name}


def test_signals_of_a_worker_process() -> None:
    assert named("## To a worker process") == {each.name for each in (*ENDING, *_SPARED)}
