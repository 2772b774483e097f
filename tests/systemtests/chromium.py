"""Chromium without a screen, told what to do by its DevTools protocol."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from websockets.sync.client import connect

from systemtests.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

_OPTIONS = [
    "--headless",
    "--no-sandbox",  # which root cannot have
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # which containers have little of
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-background-timer-throttling",  # only one page is in front
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--proxy-server=direct://",
]


class ScriptError(Exception):
    """An expression failed in the page."""


def _find_chromium() -> str:
    """Return the path of Chromium; without it skip the test, or fail it in CI."""
    for name in _NAMES:
        if (command := shutil.which(name)) is not None:
            return command
    reason = "Chromium is not installed (Debian: the package chromium-headless-shell)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def _run(command: str, options: Sequence[str], profile: Path) -> Iterator[str]:
    """Run Chromium, with its data in a folder; yield the address of its DevTools protocol."""
    log, notice = profile / "log", profile / "DevToolsActivePort"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [command, *_OPTIONS, *options, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # so that its processes can be ended together
        )
    try:
        until = time.monotonic() + PATIENCE
        while not (lines := notice.read_text().splitlines() if notice.exists() else []):
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"Chromium does not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.02)
        yield f"ws://127.0.0.1:{lines[0]}{lines[1]}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Chromium:
    """A browser; a context manager that starts it and ends it. One thread uses it."""

    def __init__(self, *options: str) -> None:
        """Find the program, which is started with further ``options``."""
        self._command = _find_chromium()
        self._further_options = options
        self._numbers = itertools.count(1)
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            profile = Path(tempfile.mkdtemp(prefix="rocket-chromium-"))
            stack.callback(shutil.rmtree, profile, ignore_errors=True)
            address = stack.enter_context(_run(self._command, self._further_options, profile))
            self._socket = stack.enter_context(
                connect(address, proxy=None, max_size=None, compression=None)
            )
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._resources.close()

    def visit(self, address: str) -> Page:
        """Open a page as a visitor with cookies of its own, and return when it is loaded."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, attached["sessionId"])
        page.open(address)
        return page

    def call(self, method: str, session: str | None = None, **parameters: object) -> Any:
        """Call a method of the protocol, and return its result."""
        number = next(self._numbers)
        request: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            request["sessionId"] = session
        self._socket.send(json.dumps(request))
        while True:
            heard = json.loads(self._socket.recv(PATIENCE))
            if heard.get("id") == number:
                break
        if "error" in heard:
            raise ScriptError(f"{method}: {heard['error']}")
        return heard["result"]


class Page:
    """A page in a browser."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session
        for domain in ("Page", "Runtime"):
            self._call(f"{domain}.enable")
        # Kept by the page, because a browser need not be asked for it meanwhile.
        source = """
            window.troubles = [];
            addEventListener("error", event => troubles.push(String(event.message)));
            addEventListener("unhandledrejection", event => troubles.push(String(event.reason)));
        """
        self._call("Page.addScriptToEvaluateOnNewDocument", source=source)

    def open(self, address: str) -> None:
        """Load a page, and return when it is loaded."""
        before = self._mark()
        result = self._call("Page.navigate", url=address)
        if error := result.get("errorText"):
            raise ScriptError(f"{address}: {error}")
        self._wait_for_load(before)

    def reload(self) -> None:
        """Load the page again, and return when it is loaded."""
        before = self._mark()
        self._call("Page.reload")
        self._wait_for_load(before)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript; of a promise, when it is settled."""
        result = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if details := result.get("exceptionDetails"):
            raise ScriptError(f"{expression}: {details}")
        return result["result"].get("value")

    def wait_for(self, expression: str, wanted: object = True) -> None:
        """Return once an expression has the value that is wanted."""
        until = time.monotonic() + PATIENCE
        while (value := self.evaluate(expression)) != wanted:
            if time.monotonic() > until:
                pytest.fail(f"waited in vain for {expression!r}: {wanted!r}; it is {value!r}")
            time.sleep(0.02)

    def submit(self, form: str, **fields: str) -> None:
        """Fill in a form, by the names of its fields, and return when the next page is loaded."""
        before = self._mark()
        self.fill(form, **fields)
        self._wait_for_load(before)

    def fill(self, form: str, **fields: str) -> None:
        """Fill in a form, by the names or IDs of its fields, and submit it."""
        self.evaluate(f"""{{
            const form = document.querySelector({json.dumps(form)});
            for (const [name, value] of Object.entries({json.dumps(fields)})) {{
                form.elements[name].value = value;
            }}
            form.requestSubmit();
        }}""")

    def press(self, key: str) -> None:
        """Press a key, such as Enter or Tab, where the focus is."""
        text = {"Enter": "\r"}.get(key, "")
        code = {"Enter": 13, "Tab": 9}[key]
        event = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self._call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self._call("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        """Type text where the focus is."""
        self._call("Input.insertText", text=text)

    def accessible_names(self) -> set[tuple[str, str]]:
        """Return the roles and names of what assistive technology is told of."""
        nodes = self._call("Accessibility.getFullAXTree")["nodes"]
        return {
            (each["role"]["value"], each.get("name", {}).get("value", ""))
            for each in nodes
            if not each["ignored"]
        }

    def close(self) -> None:
        """Close the page."""
        self._call("Page.close")

    @property
    def troubles(self) -> list[str]:
        """The errors of the page's scripts that were not handled."""
        troubles: list[str] = self.evaluate("window.troubles")
        return troubles

    def _call(self, method: str, **parameters: object) -> Any:
        return self._browser.call(method, self._session, **parameters)

    def _mark(self) -> str:
        """Mark the present document, to tell the next one from it."""
        return str(self.evaluate("window.mark = String(Math.random())"))

    def _wait_for_load(self, before: str) -> None:
        until = time.monotonic() + PATIENCE
        loaded = f"document.readyState === 'complete' && window.mark !== {json.dumps(before)}"
        while True:
            try:
                if self.evaluate(loaded):
                    return
            except ScriptError:
                pass  # the document was replaced meanwhile
            if time.monotonic() > until:
                pytest.fail("the page did not load")
            time.sleep(0.02)
