"""Pages of the documentation whose commands run, and print what the page shows.

CONTRIBUTING.md ("Add a page") describes the comments that say how a block is run. To see what the
commands of a page print, run `PYTHONPATH=tests python tests/systemtests/pages.py PAGE`.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import sysconfig
import tempfile
import textwrap
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from systemtests.network import own_network
from systemtests.processes import ROOT
from systemtests.terminal import Terminal, TerminalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

MARKS = {
    "file",
    "append to",
    "not run",
    "run by",
    "page run by",
    "terminal",
    "press",
    "exit",
    "differ",
}
"""What a comment before a block can say, beside "made by" with the program that wrote the block."""

_FENCE = re.compile(r"^( *)(`{3,})([^`\n]*)\n(.*?)^\1\2`*$\n?", re.MULTILINE | re.DOTALL)
_COMMENTS = re.compile(r"(?:^ *<!--(?:(?!-->).)*-->\n\s*)+\Z", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)
_WHOLE_PAGE = re.compile(r"^<!-- page run by: (\S+) -->$", re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:\\?\.\d+)*(?:\\? (?:µs|ms|s|B|KiB|MiB|GiB)\b)?")
"""A number and its unit, in which dots and spaces may be escaped, as `re.escape` does it."""
_PASSED_ON = re.compile(r"(?i)PIP_|UV_|SSL_CERT_|(HTTPS?|ALL|NO)_PROXY\Z|REQUESTS_CA_BUNDLE\Z")
"""Variables with which a machine says how its programs reach a package index."""


class PageError(Exception):
    """A page is wrong: a block is neither run nor excused, or does not do what the page says."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with what the comments before it say."""

    line: int
    language: str
    text: str
    marks: Mapping[str, str]


@dataclass(frozen=True)
class Step:
    """A command, or a key that is pressed while one runs, and what the terminal then shows."""

    terminal: str
    block: Block
    command: str | None
    """None for further output of the command that runs."""
    shown: list[str] = field(default_factory=list)
    exit: int = 0
    press: str | None = None
    """The key to press once the output is there."""


def pages() -> list[Path]:
    """Return every page that is tested: the README files of the packages, and docs/."""
    readmes = [ROOT / "README.md", *sorted(ROOT.glob("packages/*/README.md"))]
    return [*readmes, *sorted(ROOT.glob("docs/**/*.md"))]


def has_commands(page: Path) -> bool:
    """Whether there may be something to run on a page."""
    text = page.read_text(encoding="utf-8")
    return bool(re.search(r"^ *(?:```console|<!-- (?:file|append to): )", text, re.MULTILINE))


def named(page: Path) -> str:
    return str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page. Raises `PageError` for comments that say nothing known."""
    before = 0
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        marks = {}
        if comments := _COMMENTS.search(text[before : found.start()]):
            for comment in _COMMENT.findall(comments[0]):
                name, colon, value = (each.strip() for each in comment.partition(":"))
                if value.startswith("made by "):
                    name, value = "made by", value.removeprefix("made by ")
                elif name not in MARKS or not colon or not value:
                    raise PageError(f"line {line}: <!-- {comment} --> is none of {sorted(MARKS)}")
                marks[name] = " ".join(value.split())
        before = found.end()
        yield Block(line, found[3].strip(), textwrap.dedent(found[4]), marks)


def indented_blocks(text: str) -> list[int]:
    """Return the lines at which indented blocks begin, which no comment can be about."""
    prose = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
    found = []
    inside_list, empty = False, True
    for number, line in enumerate(prose.split("\n"), 1):
        if not line.strip():
            empty = True
            continue
        if re.match(r" {0,3}(?:[-*+]|\d+[.)]) ", line):
            inside_list = True
        elif not line.startswith(" "):
            inside_list = False
        if empty and line.startswith("    ") and not inside_list:
            found.append(number)
        empty = False
    return found


def check_test(path: str, page: Path) -> None:
    """Raise `PageError` unless a test exists and is about a page."""
    test = ROOT / path
    if not test.is_file() or not re.match(r"test_\w+\.py$", test.name):
        raise PageError(f"{path} is no test")
    # A test may be named for the page, as test_readme.py of rocket-core is.
    if page.stem.lower() not in test.name and page.name not in test.read_text(encoding="utf-8"):
        raise PageError(f"{path} does not mention {page.name}")


def check(page: Path) -> None:
    """Raise `PageError` unless every block is run, or says why not."""
    text = page.read_text(encoding="utf-8")
    if found := indented_blocks(text):
        raise PageError(f"line {found[0]}: an indented block: use a fence")
    whole = _WHOLE_PAGE.search(text)
    if whole:
        check_test(whole[1], page)
    for block in blocks_of(text):
        if "run by" in block.marks:
            check_test(block.marks["run by"], page)
        elif "made by" in block.marks and not (ROOT / block.marks["made by"]).is_file():
            raise PageError(f"line {block.line}: there is no {block.marks['made by']}")
        elif not (whole or is_run(block) or is_excused(block)):
            reason = f"the block ```{block.language} is neither run nor excused"
            raise PageError(f"line {block.line}: {reason}")


def is_run(block: Block) -> bool:
    """Whether a block is a part of what `run` does."""
    if block.marks.keys() & {"not run", "run by", "made by"}:
        return False
    return block.language == "console" or bool(block.marks.keys() & {"file", "append to"})


def is_excused(block: Block) -> bool:
    """Whether a block has a reason, was made by a program, or is a directive of Sphinx."""
    return bool(block.marks.keys() & {"not run", "made by"}) or block.language.startswith("{")


def steps_of(block: Block) -> Iterator[Step]:
    """Yield the commands of a console block, in order."""
    terminal = block.marks.get("terminal", "1")
    steps: list[Step] = []
    lines = block.text.splitlines()
    while lines:
        line = lines.pop(0)
        if line.startswith("$ "):
            command = line[2:]
            while lines and (command.endswith("\\") or lines[0].startswith("> ")):
                command += "\n" + lines.pop(0).removeprefix("> ")
            steps.append(Step(terminal, block, command))
        elif line == "^C":
            steps.append(Step(terminal, block, None, press="\x03"))
        else:
            if not steps:
                steps.append(Step(terminal, block, None))
            steps[-1].shown.append(line)
    if steps:
        last = steps[-1]
        code = int(block.marks.get("exit", last.exit))
        press = block.marks.get("press", last.press)
        steps[-1] = Step(last.terminal, block, last.command, last.shown, code, press)
    yield from steps


def pattern(shown: list[str], *, numbers_differ: bool = False) -> str:
    """Return a regular expression for lines of a page, in which ``...`` stands for anything.

    If numbers differ, so may their units, and the spaces beside them.
    """
    parts = []
    for line in shown:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
            continue
        pieces = [re.escape(piece) for piece in line.rstrip().split("...")]
        if numbers_differ:
            pieces = [_NUMBER.sub(lambda _: _NUMBER.pattern, piece) for piece in pieces]
            pieces = [re.sub(r"(?:\\ )+", " +", piece) for piece in pieces]
        parts.append(".*?".join(pieces) + r"\n")
    return "".join(parts)


def differences(shown: list[str], output: str) -> str:
    found = difflib.unified_diff(
        shown, output.splitlines(), "the page", "the terminal", lineterm=""
    )
    return "\n".join(found)


class Page:
    """A page that runs, in a directory and a network of its own; a context manager."""

    def __init__(self, path: Path, *, verbose: bool = False) -> None:
        self.path = path
        self._verbose = verbose
        self._terminals: dict[str, Terminal] = {}
        self._ends: defaultdict[str, int] = defaultdict(int)
        """How much of the output of the running command the page has shown, by terminal."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="page-")))
        self.directory, home = folder / "page", folder / "home"
        self.directory.mkdir()
        home.mkdir()
        (home / "rocket").symlink_to(ROOT)  # a clone
        (home / "rocket-venv").symlink_to(sys.prefix)
        self._prefix = self._stack.enter_context(own_network())
        self._variables = {
            **{name: value for name, value in os.environ.items() if _PASSED_ON.match(name)},
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]),
            "TERM": "xterm",
            "TMPDIR": str(folder),
            "USER": "user",
            "VIRTUAL_ENV_DISABLE_PROMPT": "1",
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for terminal in self._terminals.values():
            terminal.close()
        self._stack.close()

    def run(self) -> None:
        """Write the files, run the commands, and end what still runs. Raises `PageError`."""
        text = self.path.read_text(encoding="utf-8")
        blocks = [] if _WHOLE_PAGE.search(text) else filter(is_run, blocks_of(text))
        events: list[Block | Step] = []
        for block in blocks:
            events += list(steps_of(block)) if block.language == "console" else [block]
        for number, event in enumerate(events):
            try:
                if isinstance(event, Block):
                    self._write(event)
                else:
                    self._take(event, self._next_in_terminal(events[number + 1 :], event.terminal))
            except (PageError, TerminalError) as error:
                block = event.block if isinstance(event, Step) else event
                raise PageError(
                    f"{named(self.path)}, block at line {block.line}: {error}"
                ) from None
        self._end()

    @staticmethod
    def _next_in_terminal(events: list[Block | Step], terminal: str) -> Step | None:
        steps = (each for each in events if isinstance(each, Step) and each.terminal == terminal)
        return next(steps, None)

    def _write(self, block: Block) -> None:
        appended = "append to" in block.marks
        terminal = self._terminals.get(block.marks.get("terminal", "1"))
        directory = terminal.directory if terminal else self.directory
        path = directory / block.marks["append to" if appended else "file"]
        if appended and not path.is_file():
            raise PageError(f"there is no file {path.name} to append to")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if appended else "w", encoding="utf-8") as file:
            file.write(block.text)

    def _take(self, step: Step, following: Step | None) -> None:
        terminal = self._terminals.get(step.terminal)
        if terminal is None:
            terminal = Terminal(self.directory, self._variables, self._prefix)
            if self._verbose:
                terminal.patience = 10.0
            self._terminals[step.terminal] = terminal
        if step.command is None:
            self._continue(terminal, step, following)
            return
        if terminal.running:
            raise PageError(f"terminal {step.terminal} is busy with: {terminal.command}")
        terminal.start(step.command)
        self._ends[step.terminal] = 0
        self._await_output(terminal, step, following)

    def _continue(self, terminal: Terminal, step: Step, following: Step | None) -> None:
        """Press a key, or wait for further output of a command that runs."""
        if step.press == "\x03":
            if not terminal.running:
                raise PageError("^C, but no command runs")
            terminal.press(step.press)
            terminal.wait_for_end()
            step = Step(step.terminal, step.block, None, step.shown)
        self._await_output(terminal, step, following)

    def _await_output(self, terminal: Terminal, step: Step, following: Step | None) -> None:
        """Wait until a command has ended, or stays and has printed what the page shows."""
        stays = following is not None and following.command is None
        expected = pattern(step.shown, numbers_differ=step.block.marks.get("differ") == "numbers")

        def stays_running() -> bool:
            return terminal.in_foreground() if stays else terminal.listens()

        def printed() -> re.Match[str] | None:
            # Further output may come after lines that the page does not show.
            anywhere = r"\n*" if step.command else r"(?:.*\n)*?"
            return re.match(anywhere + expected, self._printed(terminal, step))

        if step.press is not None:
            self._press(terminal, step, expected)
        else:
            terminal.wait(
                lambda: not terminal.running or bool(printed() and stays_running()),
                "for the end or for:\n" + "\n".join(step.shown) + "\nof",
            )
        if self._verbose:
            status = "running" if terminal.running else terminal.status
            sys.stdout.write(
                f"{step.terminal}$ {terminal.command}\n{terminal.output}\n[{status}]\n"
            )
        if terminal.running:
            found = printed()
            assert found is not None
            self._ends[step.terminal] += found.end()
            return
        if terminal.status != step.exit and step.command is not None:
            raise PageError(f"exit code {terminal.status}: {terminal.command}\n{terminal.output}")
        if step.press is None and not re.fullmatch(
            r"\n*" + expected, self._printed(terminal, step)
        ):
            found_differences = differences(step.shown, self._printed(terminal, step))
            raise PageError(f"{terminal.command}\n{found_differences}")

    def _printed(self, terminal: Terminal, step: Step) -> str:
        """Return what the page has not shown yet."""
        output = terminal.output
        return (output + "\n" if output else "")[self._ends[step.terminal] :]

    @staticmethod
    def _press(terminal: Terminal, step: Step, expected: str) -> None:
        """Wait for output on a screen, press a key, and wait for the end."""
        terminal.wait(
            lambda: any(each and re.fullmatch(expected, each + "\n") for each in terminal.screens),
            "for a screen such as\n" + "\n".join(step.shown) + "\nof",
        )
        assert step.press is not None
        terminal.press(step.press)
        terminal.wait_for_end()

    def _end(self) -> None:
        """End what still runs, and look for errors that no reader was told of."""
        for name, terminal in self._terminals.items():
            if terminal.running:
                terminal.press("\x03")
                terminal.wait_for_end()
                if "Traceback" in terminal.output[self._ends[name] :]:
                    raise PageError(f"an error in: {terminal.command}\n{terminal.output}")


def run(path: Path, *, verbose: bool = False) -> None:
    """Run a page. Raises `PageError`."""
    with Page(path, verbose=verbose) as page:
        page.run()


if __name__ == "__main__":
    for each in sys.argv[1:]:
        check(Path(each).resolve())
        run(Path(each).resolve(), verbose=True)
