"""Fuzz the parser with atheris: `nox -s fuzz`, or `nox -s fuzz -- SECONDS`.

Any bytes are sent to a worker whole, and again in pieces whose lengths depend on the bytes. The
worker must neither raise an exception nor answer that the server has failed, must give the same
result both times, and must read nothing after an error. An input that breaks a rule is written to
the working directory as crash-*.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rocket_core", "rocket_wsgi"]):
    import rocket_wsgi  # noqa: F401 - imported here first, so that it is instrumented

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from conformance.cuts import between, places
from conformance.rules import check
from conformance.table import CASES
from conformance.wire import exchange

_LONGEST = 4096


def one(data: bytes) -> None:
    """Check the rules for one input."""
    outcome = exchange([data])
    check(outcome)
    pieces = exchange(between(data, places(data)))
    if pieces != outcome:
        raise AssertionError(f"cuts change the result: {outcome} and {pieces}")


def seed(directory: Path) -> None:
    """Write the cases of the table as the initial inputs of the fuzzer."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(CASES.values()):
        if len(case.sent) <= _LONGEST:
            (directory / f"case-{number}").write_bytes(case.sent)


if __name__ == "__main__":
    seed(Path(sys.argv[1]))
    atheris.Setup([*sys.argv, f"-max_len={_LONGEST}"], one)
    atheris.Fuzz()
