"""The command line: python -m bench.budget [--record]."""

from __future__ import annotations

import argparse
import sys

from bench.budget import budgets
from bench.budget.budgets import Budget, Costs
from bench.budget.counting import count_all
from bench.errors import BenchError


def _table(spent: Costs, budget: Budget | None) -> str:
    """What a request takes on each way, beside what it may take."""
    lines = [f"{'':14}{'instructions ÷ floor':>22}{'budget':>9}{'system calls':>15}{'budget':>9}"]
    for name, cost in spent.items():
        allowed = None if budget is None else budget.costs.get(name)
        limits = ("-", "-") if allowed is None else (allowed.instructions, allowed.calls)
        lines.append(f"{name:14}{cost.instructions:22}{limits[0]:>9}{cost.calls:15}{limits[1]:>9}")
    return "\n".join(lines)


def main() -> None:
    """Count; then compare with the budget, or record another."""
    parser = argparse.ArgumentParser(
        prog="budget",
        description="Count what requests take in instructions and system calls, "
        "and fail when it is more than what is recorded.",
    )
    parser.add_argument("--record", action="store_true", help="make it the budget from now on")
    options = parser.parse_args()
    try:
        record = f"nox -s {budgets.session()} -- --record"
        budget = None if options.record else budgets.recorded()
        spent = budgets.costs(count_all())
    except BenchError as error:
        sys.exit(f"budget: {error}")
    print(_table(spent, budget))
    if budget is None:
        budgets.record(spent)
        print(f"Recorded in {budgets.FILE}")
        return
    if savings := budgets.savings(spent, budget):
        print(f"Cheaper than recorded: {', '.join(savings)}. To keep it so: {record}")
    excesses = budgets.excesses(spent, budget)
    for line in excesses:
        print(f"budget: {line}", file=sys.stderr)
    if excesses:
        sys.exit(f"budget: if that is meant, record it: {record}")


if __name__ == "__main__":
    main()
