"""Processes whose exit the application delays."""

from __future__ import annotations

import signal

from conftest import Write
from processes import Served

ANY = ["--bind", "127.0.0.1:0"]

APPLICATION = """
import threading
{}

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""

THREAD = 'threading.Thread(target=threading.Event().wait, name="mailer").start()'

EXECUTOR = """
from concurrent.futures import ThreadPoolExecutor
executor = ThreadPoolExecutor(1)
executor.submit(int).result()
"""

FORK = """
import os
if os.fork() == 0:
    threading.Event().wait()
"""


def test_thread_that_goes_on_is_named_and_left_behind(write: Write) -> None:
    directory = write("app.py", APPLICATION.format(THREAD)).parent
    with Served(directory, *ANY, "--graceful-timeout", "2", "app") as served:
        served.location()
        served.send(signal.SIGTERM)
        served.wait_for("the process cannot exit: the application's thread 'mailer', which is not")
        served.wait_for("the process ends without waiting any longer: .*'mailer'")
        code, _ = served.wait()
        assert code == 0
        assert not any("is killed" in line for line in served.said)


def test_second_signal_does_not_wait_for_a_thread(write: Write) -> None:
    directory = write("app.py", APPLICATION.format(THREAD)).parent
    with Served(directory, *ANY, "--graceful-timeout", "1000", "app") as served:
        served.location()
        served.send(signal.SIGINT)
        served.wait_for("the process ends without waiting any longer: .*'mailer'")
        assert served.wait()[0] in (0, 130)


def test_threads_that_end_with_the_interpreter_cause_no_message(write: Write) -> None:
    directory = write("app.py", APPLICATION.format(EXECUTOR)).parent
    with Served(directory, *ANY, "app") as served:
        served.location()
        served.stop()
        assert not any("cannot end" in line for line in served.said)
