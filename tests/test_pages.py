"""The pages: every block is run, or says why not, and commands print what the page shows."""

from __future__ import annotations

import fcntl
import os
import re
import sys
import tempfile
import threading
from typing import TYPE_CHECKING

import click
import pytest

from rocket_cli import main
from systemtests.network import own_network
from systemtests.pages import PageError, check, has_commands, named, pages, run
from systemtests.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and needs util-linux")

PAGES = pages()
OF_DOCKER = {"--cpus", "--env", "--publish"}
"""Options of another program that a guide names."""
GUIDES = [ROOT / "docs" / "tutorial.md", *sorted(ROOT.glob("docs/how-to/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    check(page)


@pytest.mark.parametrize("page", [each for each in PAGES if has_commands(each)], ids=named)
def test_commands_print_what_the_page_shows(page: Path) -> None:
    run(page)


def options() -> set[str]:
    """The options of all commands."""
    context = click.Context(main)
    commands = [main.get_command(context, name) for name in main.list_commands(context)]
    parameters = [each for command in [main, *filter(None, commands)] for each in command.params]
    return {name for each in parameters for name in [*each.opts, *each.secondary_opts]}


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_options_that_guides_name_exist(page: Path) -> None:
    text = "".join(
        re.split(r"^```.*?^```$", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    )
    assert set(re.findall(r"`(--[a-z0-9-]+)", text)) - options() <= OF_DOCKER


# -- the runner itself -----------------------------------------------------------------------------

APP = """
<!-- file: app.py -->
```python
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello\\n"]
```
"""

SERVED = f"""{APP}
```console
$ rocket-cli serve --access-log -
...
Listening on http://127.0.0.1:8000
...
```

<!-- terminal: 2 -->
```console
$ curl -s http://127.0.0.1:8000/there
Hello
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "page.md"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def console(*lines: str) -> str:
    return "\n".join(["```console", *lines, "```", ""])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```sh\ntrue\n```\n", "line 1: the block ```sh is neither run nor excused"),
        ("```\ntrue\n```\n", "line 1: the block ``` is neither run nor excused"),
        ("<!-- not run: -->\n```sh\ntrue\n```\n", "line 2: <!-- not run: -->"),
        ("<!-- notrun: it is slow -->\n\n```sh\ntrue\n```\n", "line 3: <!-- notrun: it is slow"),
        ("<!-- run by: tests/test_absent.py -->\n```sh\ntrue\n```\n", "test_absent.py is no test"),
        ("<!-- run by: noxfile.py -->\n```sh\ntrue\n```\n", "noxfile.py is no test"),
        ("<!-- run by: tests/test_http2.py -->\n```sh\ntrue\n```\n", "not mention page.md"),
        ("<!-- page run by: tests/test_http2.py -->\n```sh\ntrue\n```\n", "not mention page.md"),
        ("Text:\n\n    true\n", "line 3: an indented block"),
    ],
)
def test_a_block_that_is_not_run_needs_a_reason(
    page: Callable[[str], Path], text: str, message: str
) -> None:
    with pytest.raises(PageError, match=re.escape(message)):
        check(page(text))


@pytest.mark.parametrize(
    "text",
    [
        "<!-- not run: it needs\n     a cluster -->\n```sh\ntrue\n```\n",
        "<!-- page run by: tests/test_pages.py -->\n```sh\npage.md\n```\n",
        "```{toctree}\nindex\n```\n",
        "- a list\n\n    that goes on\n",
        console("$ true"),
        APP,
    ],
)
def test_blocks_that_need_nothing_else(page: Callable[[str], Path], text: str) -> None:
    check(page(text))


def test_a_machine_that_grants_no_network_of_its_own(
    page: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages use the network of the machine, one at a time."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (programs / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the lock is
    ended = threading.Event()

    def follow() -> None:
        run(page(console("$ echo one", "one")))
        ended.set()

    other = threading.Thread(target=follow)
    with own_network() as prefix:
        assert prefix == []
        other.start()
        (lock,) = tmp_path.glob("*.lock")
        with lock.open("w") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not ended.is_set()
    other.join()
    assert ended.is_set()


@pytest.mark.parametrize(
    "text",
    [
        console("$ echo one; echo two", "one", "two"),
        console("$ seq 5; echo end", "1", "...", "4", "...", "end"),
        console("$ echo 'took 17 ms here'", "took ... ms here"),
        console("$ ls ~/rocket/LICENSE", ".../rocket/LICENSE"),
        console("$ mkdir d; cd d")
        + "<!-- file: f -->\n```\n1\n```\n"
        + console("$ cat ../d/f", "1"),
        "<!-- differ: numbers -->\n" + console("$ echo '17 a  1.05 ms'", "2 a 900 µs"),
        console("$ cd /; export WORD=here", "$ echo $PWD $WORD", "/ here"),
        console("$ printf '%s\\n' \\", "    one \\", "    two", "one", "two"),
        console("$ cat > f <<END", "> line", "> END", "$ cat f", "line"),
        "<!-- exit: 3 -->\n" + console("$ true", "$ sh -c 'echo no; exit 3'", "no"),
        console("$ sleep 1000", "^C", "$ echo again", "again"),
        console("$ cat", "^C", "$ echo status $?", "status 130"),
        console("$ printf '\\033[31mred\\033[0m\\n10%%\\r100%%\\n'", "red", "100%"),
        console("$ curl -s http://127.0.0.1:8000/ || echo nobody there", "nobody there"),
        "<!-- file: f -->\n```\n1\n```\n<!-- append to: f -->\n```\n2\n```\n"
        + console("$ cat f", "1", "2"),
        SERVED + console("...200 GET /there...", "^C", "...", "...stopped"),
        SERVED,
    ],
)
def test_what_a_reader_does(page: Callable[[str], Path], text: str) -> None:
    run(page(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (console("$ echo one", "two"), "-two\n+one"),
        (console("$ echo one"), "+one"),
        (console("$ echo one; echo two", "one"), "+two"),
        (console("$ true", "one"), "-one"),
        (console("$ false"), "exit code 1: false"),
        ("<!-- exit: 3 -->\n" + console("$ false"), "exit code 1: false"),
        (
            console("$ echo here", "h...re", "$ echo here", "h...e", "$ echo here", "h...x"),
            "-h...x",
        ),
        ("<!-- differ: numbers -->\n" + console("$ echo 1 a", "1 b"), "-1 b"),
        ("<!-- differ: numbers -->\n" + console("$ echo one a", "1 a"), "-1 a"),
        (console("$ true", "^C"), "^C, but no command runs"),
        ("<!-- append to: f -->\n```\n1\n```\n", "no file f"),
        (SERVED + console("$ true"), "terminal 1 is busy with: rocket-cli serve"),
        (SERVED.replace("Hello\n```", "Bye\n```"), "-Bye"),
    ],
)
def test_what_differs_from_the_page(page: Callable[[str], Path], text: str, message: str) -> None:
    with pytest.raises(PageError, match=re.escape(message)):
        run(page(text))
