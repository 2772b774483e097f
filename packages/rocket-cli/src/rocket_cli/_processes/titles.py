"""The names of processes, as ``ps`` and ``top`` show them.

A process has two. The *title* is its command line, in which the package setproctitle writes if it
is installed (extra ``titles``). The *command name* has 15 characters at most (proc_pid_comm(5)),
and ``top`` and ``ps -e`` show it; Linux has a file for that, which needs no package. New threads
inherit it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from rocket_cli._settings.chosen import Chosen

_COMMAND_NAME: Final = Path("/proc/self/comm")

SUPERVISOR: Final = "supervisor"
"""The role of the process whose command name stays that of the command."""


def set_title(role: str, chosen: Chosen, application: str = "") -> None:
    """Have this process shown as ``rocket-cli: ROLE NAME``, and ``rocket-ROLE`` where it is short.

    The name is that of the settings, or that of the application: ``application``, if the caller
    knows it better than the settings.
    """
    name = chosen["process-name"] or application or str(chosen["app"] or "")
    with suppress(ImportError):
        from setproctitle import setproctitle

        setproctitle(f"rocket-cli: {role} {name}".rstrip())
    # After the title, since setproctitle sets the command name as well, to the title's beginning.
    short = "rocket-cli" if role == SUPERVISOR else f"rocket-{role}"
    with suppress(OSError):  # another system than Linux
        _COMMAND_NAME.write_text(short, encoding="ascii")
