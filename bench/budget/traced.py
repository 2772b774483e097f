"""The process that callgrind or strace looks at: python -m bench.budget.traced."""

from __future__ import annotations

from bench.budget.subjects import SUBJECTS


def main() -> None:
    """Run all subjects, one after the other."""
    for run in SUBJECTS.values():
        run()


if __name__ == "__main__":
    main()
