"""What is allowed for a request: the budgets, where they are recorded, and what exceeds them.

There is one for each version of Python and each build of Rocket, the pure and the compiled one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import rocket_core
import rocket_wsgi
from bench.budget.counting import Count
from bench.budget.subjects import FLOORS
from bench.errors import BenchError

FILE: Final = Path(__file__).with_name("budgets.json")

_MARGIN: Final = 0.03
"""Share by which instructions may exceed a budget recorded with the same build of Python."""

_OTHER_MARGIN: Final = 0.08
"""The same with another build: two of 3.11 were up to 4.5 % apart."""

_CALLS_MARGIN: Final = 0.05
"""System calls by which a budget may be exceeded: one more for each poll is more than that."""


@dataclass(frozen=True)
class Cost:
    """What a request takes.

    Attributes:
        instructions: as a multiple of what its floor takes, since builds of Python differ by more
            than a regression.
        calls: system calls.
    """

    instructions: float
    calls: float


Costs = Mapping[str, Cost]


@dataclass(frozen=True)
class Budget:
    """What was recorded with one version of Python, and with which build of it."""

    build: str
    costs: Costs


def session() -> str:
    """The session of nox that counts the build that is installed. Raises `BenchError` for two."""
    if rocket_core.compiled is not rocket_wsgi.compiled:
        raise BenchError("one of rocket-core and rocket-wsgi is compiled: install both so, or none")
    return "budget-compiled" if rocket_core.compiled else "budget"


def _key() -> str:
    """The name of the budget in the file."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"{version}-compiled" if rocket_core.compiled else version


def costs(counts: Mapping[str, Count]) -> dict[str, Cost]:
    """What was counted, as it is recorded."""
    return {
        name: Cost(
            round(counts[name].instructions / counts[floor].instructions, 3),
            round(counts[name].calls, 3),
        )
        for name, floor in FLOORS.items()
    }


def recorded() -> Budget:
    """The budget for what is installed. Raises `BenchError` when there is none."""
    try:
        found = json.loads(FILE.read_text("utf-8"))[_key()]
    except (FileNotFoundError, KeyError):
        raise BenchError(f"{FILE.name} has no budget {_key()}") from None
    return Budget(found["build"], {name: Cost(**each) for name, each in found["costs"].items()})


def record(spent: Costs) -> None:
    """Make ``spent`` the budget for what is installed."""
    budgets = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    budgets[_key()] = {
        "build": sys.version,
        "costs": {name: asdict(each) for name, each in spent.items()},
    }
    FILE.write_text(json.dumps(budgets, indent=1, sort_keys=True) + "\n", "utf-8")


def _margin(budget: Budget) -> float:
    return _MARGIN if budget.build == sys.version else _OTHER_MARGIN


def savings(spent: Costs, budget: Budget) -> list[str]:
    """The names of all that takes less than its budget by more than the margin."""
    margin = _margin(budget)
    return [
        name
        for name, cost in spent.items()
        if (allowed := budget.costs.get(name)) is not None
        and (
            cost.instructions < allowed.instructions * (1 - margin)
            or cost.calls < allowed.calls - _CALLS_MARGIN
        )
    ]


def excesses(spent: Costs, budget: Budget) -> list[str]:
    """A line for everything that exceeds the budget by more than its margin."""
    margin = _margin(budget)
    lines = []
    for name, cost in spent.items():
        allowed = budget.costs.get(name)
        if allowed is None:
            lines.append(f"{name}: no budget is recorded")
            continue
        excess = cost.instructions / allowed.instructions - 1
        if excess > margin:
            lines.append(
                f"{name}: {cost.instructions:.3f} times the instructions of the {FLOORS[name]}, "
                f"{excess:.1%} over the budget of {allowed.instructions:.3f} "
                f"(margin {margin:.0%})"
            )
        if cost.calls - allowed.calls > _CALLS_MARGIN:
            lines.append(
                f"{name}: {cost.calls:.3f} system calls, over the budget of {allowed.calls:.3f}"
            )
    return lines
