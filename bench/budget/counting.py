"""Runs the subjects under callgrind and under strace, and makes their counts those of a request."""

from __future__ import annotations

import os
import re
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import tools
from bench.budget.client import MARK, SECTION, SECTIONS
from bench.budget.subjects import CLIENTS_OF, SUBJECTS
from bench.errors import BenchError

_PATIENCE: Final = 300.0
_TOTAL: Final = re.compile(r"^totals: (\d+)$", re.MULTILINE)
_PER_SUBJECT: Final = SECTIONS + 1
"""Marks that a subject makes: the first ends what came before it counts."""


@dataclass(frozen=True)
class Count:
    """What a request takes, without the part of its client.

    Attributes:
        instructions: in user mode, the interpreter's and those of C libraries.
        calls: system calls.
    """

    instructions: float
    calls: float


def count_all() -> dict[str, Count]:
    """Count for every subject. Raises `BenchError`."""
    instructions = _each_request(_instructions, statistics.median)
    calls = _each_request(_calls, min)  # a busy machine adds some, such as waits, to a section
    return {name: Count(instructions[name], calls[name]) for name in CLIENTS_OF}


def _each_request(
    count: Callable[[Path], list[int]], choose: Callable[[list[int]], float]
) -> dict[str, float]:
    """Of each subject what is chosen of its sections, for a request; less the clients' part."""
    with tempfile.TemporaryDirectory(prefix="rocket-budget-") as directory:
        sections = count(Path(directory))
    wanted = len(SUBJECTS) * _PER_SUBJECT
    if len(sections) != wanted:
        raise BenchError(f"{len(sections)} marks were found, not {wanted}")
    found = {}
    for index, name in enumerate(SUBJECTS):
        first = index * _PER_SUBJECT + 1
        found[name] = choose(sections[first : first + SECTIONS]) / SECTION
    return {name: found[name] - found[clients] for name, clients in CLIENTS_OF.items()}


def _run(*tool: str) -> None:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "0",  # the same collisions in dictionaries every time
    }
    command = [*tool, sys.executable, "-m", "bench.budget.traced"]
    tools.run(command, timeout=_PATIENCE, environment=environment)


def _instructions(directory: Path) -> list[int]:
    """Those between marks, each of which has callgrind write a file with its number."""
    out = directory / "out"
    options = ("-q", "--tool=callgrind", f"--callgrind-out-file={out}", f"--dump-before={MARK}")
    _run(tools.find("valgrind"), *options)
    found = []
    for number in range(1, len(SUBJECTS) * _PER_SUBJECT + 1):
        try:
            text = Path(f"{out}.{number}").read_text("utf-8")
        except FileNotFoundError:
            break
        found.append(sum(map(int, _TOTAL.findall(text))))
    return found


def _calls(directory: Path) -> list[int]:
    """Those between marks, which are calls themselves."""
    out = directory / "out"
    _run(tools.find("strace"), "-o", str(out))
    found, last = [], 0
    for number, line in enumerate(out.read_text("utf-8", "replace").splitlines()):
        if line.startswith(f"{MARK}("):
            found.append(number - last - 1)
            last = number
    return found
