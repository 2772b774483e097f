"""Standard input, output and error, which may be closed when the command starts."""

from __future__ import annotations

import os
import sys
from typing import Final

_LAST: Final = 2


def complete_descriptors() -> None:
    """Open the null device in place of each of the three descriptors that is closed.

    This must run before anything else is opened: otherwise a socket could get one of these numbers,
    and receive what the application and its children print.
    """
    # The system assigns the lowest free number.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # Python's value for a closed descriptor
            mode = "w" if number else "r"
            stream = open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - for as long as the process runs
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
