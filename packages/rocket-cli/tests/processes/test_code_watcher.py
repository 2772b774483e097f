"""The reload of the application when its code changes."""

from __future__ import annotations

import functools
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from conftest import HELLO, Write
from processes import COMMAND, Served, refuse
from rocket_cli._errors import CommandError
from rocket_cli._processes import code_watcher
from rocket_cli._processes.code_watcher import Wanted, code_directories, require_watchfiles
from rocket_core.testing import PATIENCE

RELOADING = ["--bind", "127.0.0.1:0", "--reload"]
BYE = HELLO.replace("hello", "byeee")
IMPORTING = """
    from text import TEXT
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])
        return [TEXT]
"""


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
        yield client


def wait_for_answer(
    client: httpx.Client, url: str, wanted: Callable[[httpx.Response], bool]
) -> httpx.Response:
    """Return the first answer that is as wanted."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = client.get(url)
        if wanted(answer):
            return answer
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.02)


def differs(text: str, answer: httpx.Response) -> bool:
    return answer.text != text


def test_changed_code_is_served(tmp_path: Path, write: Write, client: httpx.Client) -> None:
    """Every answer in between comes from the old code or from the new one."""
    write("app.py", IMPORTING)
    write("text.py", 'TEXT = b"hello"')
    with Served(tmp_path, *RELOADING) as served:
        url = served.location()
        assert client.get(url).text == "hello"
        old = "hello"
        for text in ("world", "again"):  # of the same length, and soon after each other
            write("text.py", f'TEXT = b"{text}"')
            answer = wait_for_answer(client, url, functools.partial(differs, old))
            assert answer.text == text
            old = text
        served.stop()


def test_page_until_the_code_can_be_loaded_again(
    tmp_path: Path, write: Write, client: httpx.Client
) -> None:
    write("app.py", HELLO.format("app"))
    with Served(tmp_path, *RELOADING) as served:
        url = served.location()
        assert client.get(url).text == "hello"
        write("app.py", "\napp = 1 / 0  # <&>")
        answer = wait_for_answer(client, url, lambda answer: answer.status_code == 500)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.text.startswith("cannot import app: ZeroDivisionError: division by zero")
        assert f'File "{tmp_path}/app.py", line 2, in <module>' in answer.text
        assert "rocket_cli" not in answer.text
        page = client.post(url, headers={"Accept": "text/html"}, content=b"x")
        assert (page.status_code, page.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
        assert "app = 1 / 0  # &lt;&amp;&gt;" in page.text
        served.wait_for("ERROR rocket_cli: cannot import app: ZeroDivisionError")
        write("app.py", BYE.format("app"))
        wait_for_answer(client, url, lambda answer: answer.text == "byeee")
        served.stop()


def test_code_that_cannot_be_loaded_at_first(
    tmp_path: Path, write: Write, client: httpx.Client
) -> None:
    with Served(tmp_path, *RELOADING, "--health", "/up", "--reserved", "/", "late:app") as served:
        url = served.location()
        answer = client.get(url)
        assert (answer.status_code, "no module 'late'" in answer.text) == (500, True)
        write("late.py", HELLO.format("app"))
        wait_for_answer(client, url, lambda answer: answer.text == "hello")
        served.stop()


def test_code_elsewhere(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, write: Write, client: httpx.Client
) -> None:
    """Modules that are imported from other directories are watched, too."""
    library = tmp_path_factory.mktemp("library")
    (library / "text.py").write_text('TEXT = b"hello"')
    write("app.py", IMPORTING)
    with Served(tmp_path, *RELOADING, command=COMMAND, PYTHONPATH=str(library)) as served:
        url = served.location()
        assert client.get(url).text == "hello"
        (library / "text.py").write_text('TEXT = b"byeee"')
        wait_for_answer(client, url, lambda answer: answer.text == "byeee")
        served.stop()


def test_settings(tmp_path: Path, write: Write, client: httpx.Client) -> None:
    write("first.py", HELLO.format("app"))
    write("second.py", BYE.format("app"))
    write("settings.toml", 'app = "first:app"')
    with Served(tmp_path, *RELOADING, "--config", "settings.toml") as served:
        url = served.location()
        assert client.get(url).text == "hello"
        write("settings.toml", 'app = "second:app"')
        wait_for_answer(client, url, lambda answer: answer.text == "byeee")
        served.stop()


def test_changes_are_not_watched_for_unless_asked(
    tmp_path: Path, write: Write, client: httpx.Client
) -> None:
    write("app.py", "app = None; raise RuntimeError('broken')")
    assert "broken" in refuse(tmp_path, "--bind", "127.0.0.1:0")
    assert "broken" in refuse(tmp_path, "--reload", command="check")


@pytest.mark.parametrize("command", ["serve", "check"])
def test_not_with_preload(tmp_path: Path, write: Write, command: str) -> None:
    write("app.py", HELLO.format("app"))
    line = refuse(tmp_path, "--reload", "--preload", command=command)
    assert "--preload" in line
    assert "--reload" in line


def test_interrupt_of_the_terminal(tmp_path: Path, write: Write) -> None:
    """Ctrl+C reaches all processes; the watcher leaves the end to the supervisor."""
    write("app.py", HELLO.format("app"))
    process = subprocess.Popen(
        [*COMMAND, "serve", *RELOADING],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    with process:
        assert process.stderr is not None
        said = [next(process.stderr)]
        write("app.py", BYE.format("app"))
        while "generation 2 serves" not in said[-1]:  # so that the watcher is there
            said.append(next(process.stderr))
        os.killpg(process.pid, signal.SIGINT)
        said += process.stderr
        assert process.wait(PATIENCE) == 0
    assert said[-1].endswith("INFO rocket_cli: stopped\n")
    assert not [line for line in said if "Traceback" in line or "ERROR" in line]


# -- the parts -----------------------------------------------------------------------------------


def test_change_before_the_watch_began(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.touch()
    before = path.stat().st_mtime - 1
    (tmp_path / "text.txt").touch()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/other.py").touch()
    changes = code_watcher._changes(Wanted([str(tmp_path)], before), [], threading.Event())
    assert next(changes) == str(path)


def test_only_code_and_named_files_count(tmp_path: Path) -> None:
    stop = threading.Event()
    wanted = Wanted([str(tmp_path / "code")], time.time() + 3600)
    for name in ("code", "settings"):
        (tmp_path / name).mkdir()
    settings = str(tmp_path / "settings/rocket.toml")
    changes = code_watcher._changes(wanted, [settings], stop)
    numbers = itertools.count()
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            for name in ("code/page.html", "settings/other.toml", "settings/rocket.toml"):
                (tmp_path / name).write_text(str(next(numbers)))
            done.wait(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert {next(changes) for _ in range(2)} == {settings}
    finally:
        done.set()
        writer.join()
    stop.set()
    assert next(changes, None) in (None, settings)


def test_directories_of_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current directory counts, and those of modules, except installed packages."""
    for name in ("here/package", "there", "there/site-packages"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    for module, file in (
        ("here", "here/package/__init__.py"),
        ("there", "there/there.py"),
        ("installed", "there/site-packages/installed.py"),
        ("gone", "missing/gone.py"),
    ):
        made = type(os)(module)
        made.__file__ = str(tmp_path / file)
        monkeypatch.setitem(sys.modules, module, made)
    found = [each for each in code_directories() if each.startswith(str(tmp_path))]
    assert found == [str(tmp_path / "here"), str(tmp_path / "there")]
    assert not [each for each in code_directories() if Path(each) == Path(os.__file__).parent]


def test_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_watcher, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match=r"pip install 'rocket-cli\[reload\]'"):
        require_watchfiles()


def test_an_order_is_pending_until_it_is_taken_and_no_longer() -> None:
    """The order is in the queue, and its event is not set yet, when the main thread takes it.

    If the event were set afterwards, the new watch would end at once, and nothing be watched.
    """
    orders = code_watcher._Orders()
    taken: list[Wanted | None] = []
    taker = threading.Thread(target=lambda: taken.append(orders.next()))
    set_pending = orders.pending.set

    def set_late() -> None:
        taker.start()
        taker.join(0.2)  # the thread may take the order now, but must not
        set_pending()

    orders.pending.set = set_late  # type: ignore[method-assign]
    orders.table()["watch"]({"directories": ["code"], "since": 1.0})
    taker.join(PATIENCE)
    assert taken == [Wanted(["code"], 1.0)]
    assert not orders.pending.is_set()
