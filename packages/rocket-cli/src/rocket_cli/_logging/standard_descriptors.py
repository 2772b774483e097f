"""Standard input, output and error, which a process may be started without."""

from __future__ import annotations

import os
import sys
from typing import Final

_LAST: Final = 2


def complete_descriptors() -> None:
    """Open the null device for each of the three that is missing.

    To be called before anything else is opened: a socket that got one of these numbers would be
    sent what the application and its children print.
    """
    # The system gives the lowest number that is free.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # so where it was missing
            mode = "w" if number else "r"
            stream = open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - for as long as the process runs
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
