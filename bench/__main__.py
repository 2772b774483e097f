"""The command line: python -m bench."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from bench import page, targets, tools
from bench.errors import BenchError
from bench.measure import allow_descriptors
from bench.paths import PAGE, ROOT
from bench.plots import draw_all
from bench.report import everything
from bench.results import Results
from bench.runner import estimate, run_all
from bench.workload import Workload
from bench.workloads import ALL

DESCRIPTORS: Final = 25_000
"""For 10,000 connections of a server that keeps half of its descriptors for its application."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench", description="Measure Rocket beside other servers, on this machine."
    )
    parser.add_argument(
        "--only", metavar="NAMES", help="workloads or groups of them, with commas; see --list"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds (3; quick: 1)")
    parser.add_argument("--seconds", type=int, metavar="N", help="whole seconds a sample (1)")
    parser.add_argument("--quick", action="store_true", help="a glance: few workloads, one round")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        default=ROOT / "bench-results.json",
        help="JSON file for the results (bench-results.json)",
    )
    parser.add_argument(
        "--show", type=Path, metavar="FILE", help="measure nothing: show results of an earlier run"
    )
    parser.add_argument(
        "--page", action="store_true", help="make the page in docs/benchmarks of the results"
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="name the workloads and how long they take, and do no more",
    )
    return parser


def _choose(only: str | None, *, quick: bool) -> list[Workload]:
    if only is None:
        return [each for each in ALL if each.quick or not quick]
    names = only.split(",")
    known = {each.name for each in ALL} | {each.group for each in ALL}
    if unknown := [name for name in names if name not in known]:
        raise BenchError(f"no workload is called {unknown[0]!r}: --list names them")
    return [each for each in ALL if each.name in names or each.group in names]


def main() -> None:
    """Run what was asked for."""
    parser = _parser()
    options = parser.parse_args()
    try:
        if options.list:
            _list(parser, options)
            return
        results = _shown(options.show) if options.show else _measured(parser, options)
        if options.page:
            page.write(results, PAGE, draw_all(results, PAGE))
            _say(f"The page is {PAGE / 'README.md'}")
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(everything(results))
    print(f"\n### Targets\n\n{targets.table(results)}")


def _list(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """The workloads that were chosen, and about how long each takes."""
    rounds, seconds = _extent(parser, options)
    workloads = _choose(options.only, quick=options.quick)
    for each in workloads:
        needed = estimate([each], rounds=rounds, seconds=seconds)
        print(f"{each.name:22} {needed:4.0f} s  {each.title}")
    minutes = estimate(workloads, rounds=rounds, seconds=seconds) / 60
    print(f"{'all of these':22} {minutes:4.0f} min, with {rounds} rounds of {seconds} s a sample")


def _shown(path: Path) -> Results:
    try:
        return Results.load(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} cannot be read as results: {error}") from None


def _extent(parser: argparse.ArgumentParser, options: argparse.Namespace) -> tuple[int, int]:
    """The rounds, and the seconds of a sample."""
    rounds, seconds = (1, 1) if options.quick else (3, 1)
    if options.rounds is not None:
        rounds = options.rounds
    if options.seconds is not None:
        seconds = options.seconds
    if rounds < 1 or seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    return rounds, seconds


def _measured(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Results:
    rounds, seconds = _extent(parser, options)
    workloads = _choose(options.only, quick=options.quick)
    tools.find("wrk")
    limit = allow_descriptors(DESCRIPTORS)
    if limit < DESCRIPTORS:
        _say(f"Only {limit} open files are allowed (ulimit -n): fewer idle connections are held.")
    samples = rounds * sum(len(each.contenders) for each in workloads)
    minutes = estimate(workloads, rounds=rounds, seconds=seconds) / 60
    _say(f"{len(workloads)} workloads, {samples} samples: about {minutes:.1f} min")
    output: Path = options.output
    results = run_all(workloads, rounds=rounds, seconds=seconds, output=output, say=_say)
    _say(f"The results are in {output}")
    return results


def _say(line: str) -> None:
    """Progress goes to standard error, so that standard output holds the report alone."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
