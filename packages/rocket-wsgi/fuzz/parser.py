"""Fuzz the parser with atheris: `nox -s fuzz`, or `nox -s fuzz -- SECONDS`.

Any bytes are sent to a worker whole, and again in pieces whose lengths are drawn from the bytes
themselves. It must neither raise nor answer with the server's own failure, must say the same both
times, and must hear nothing behind an error. An input that breaks a rule is written to the
directory the run was started in, as crash-*.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rocket_core", "rocket_wsgi"]):
    import rocket_wsgi  # noqa: F401 - instrumented before anything else imports it

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from conformance.cuts import between
from conformance.rules import check
from conformance.table import CASES
from conformance.wire import exchange

_LONGEST = 4096


def places(data: bytes) -> list[int]:
    """Where to cut, by the data's own last bytes."""
    found: list[int] = []
    for step in data[-8:]:
        found.append((found[-1] if found else 0) + step % 61 + 1)
    return [place for place in found if place < len(data)]


def one(data: bytes) -> None:
    """Check the rules for one input."""
    outcome = exchange([data])
    check(outcome)
    pieces = exchange(between(data, places(data)))
    if pieces != outcome:
        raise AssertionError(f"cuts change the result: {outcome} and {pieces}")


def seed(directory: Path) -> None:
    """Write the table's inputs, from which the fuzzer starts."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(CASES.values()):
        if len(case.sent) <= _LONGEST:
            (directory / f"case-{number}").write_bytes(case.sent)


if __name__ == "__main__":
    seed(Path(sys.argv[1]))
    atheris.Setup([*sys.argv, f"-max_len={_LONGEST}"], one)
    atheris.Fuzz()
