"""The server's messages after an application has configured logging."""

from __future__ import annotations

import logging
import logging.config
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from choosing import choose
from conftest import Write
from processes import Served
from rocket_cli._logging.loggers import NAMES, PACKAGES
from rocket_cli._logging.server_log import configure_log, set_log_level

pytestmark = pytest.mark.usefixtures("loggers", "root")

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def root() -> Iterator[None]:
    """Restore the configuration of logging after the test."""
    logger, factory = logging.root, logging.getLogRecordFactory()
    level, handlers = logger.level, list(logger.handlers)
    names = set(logger.manager.loggerDict)
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers
    logging.setLogRecordFactory(factory)
    logging.disable(logging.NOTSET)
    for name in names:
        logging.getLogger(name).disabled = False


def configure_all() -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "handlers": {"console": {"class": "logging.StreamHandler"}},
            "root": {"handlers": ["console"], "level": "DEBUG"},
        }
    )


def configure_nothing() -> None:
    logging.config.dictConfig({"version": 1})


def name_a_package() -> None:
    """Child loggers are not disabled, but lose their handlers."""
    logging.config.dictConfig({"version": 1, "loggers": {"rocket_core": {"level": "CRITICAL"}}})


def disable() -> None:
    logging.disable(logging.CRITICAL)


def raise_levels() -> None:
    logging.root.setLevel(logging.CRITICAL)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.CRITICAL)


def have_a_basic_configuration() -> None:
    logging.basicConfig(level=logging.DEBUG, force=True)


def remove_handlers() -> None:
    for name in NAMES:
        logging.getLogger(name).handlers.clear()


def close_handlers() -> None:
    logging.shutdown()


def fail_to_make_records() -> None:
    def fail(*arguments: object, **others: object) -> logging.LogRecord:
        raise RuntimeError("there is no request")

    logging.setLogRecordFactory(fail)


@pytest.mark.parametrize(
    "configure",
    [
        configure_all,
        configure_nothing,
        name_a_package,
        disable,
        raise_levels,
        have_a_basic_configuration,
        remove_handlers,
        close_handlers,
        fail_to_make_records,
    ],
)
def test_each_message_is_written_once(capfd: Capture, configure: Callable[[], None]) -> None:
    configure_log(choose())
    configure()
    for name in NAMES:
        logging.getLogger(name).info("to be seen %s", "once")
        logging.getLogger(name).debug("not to be seen")
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [
        f"INFO {name}: to be seen once" for name in NAMES
    ]


def test_level_is_changed_after_that(capfd: Capture) -> None:
    configure_log(choose())
    configure_all()
    set_log_level("debug")
    logging.getLogger("rocket_core.pool").debug("to be seen")
    assert capfd.readouterr().err.count("to be seen") == 1


def test_loggers_of_the_application_are_unchanged(capfd: Capture) -> None:
    other = logging.getLogger("shop.database")
    configure_log(choose())
    configure_nothing()
    assert other.disabled
    other.error("not to be seen")
    logging.getLogger("shop.new").error("of the application")
    assert "not to be seen" not in capfd.readouterr().err
    assert type(other) is logging.Logger


def test_handler_of_the_application_gets_the_messages(capfd: Capture) -> None:
    heard: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    configure_log(choose())
    logging.getLogger("rocket_core").addHandler(Listening())
    logging.getLogger("rocket_core.pool").error("to be seen")
    assert heard == ["to be seen"]
    assert capfd.readouterr().err.count("to be seen") == 1


def test_libraries_have_ordinary_loggers() -> None:
    """Only the command changes the class of the loggers."""
    assert {type(logging.getLogger(name)) for name in NAMES} == {logging.Logger}


def test_all_loggers_are_known() -> None:
    found = set()
    for package in PACKAGES:
        for file in Path(str(files(package))).rglob("*.py"):
            source = file.read_text(encoding="utf-8")
            found |= set(re.findall(r'getLogger\("(rocket_[a-z_.]+)"\)', source))
    assert found == set(NAMES) - {"rocket_core", "rocket_tls"}


@pytest.mark.parametrize("late", [False, True], ids=["at import", "in a request"])
def test_traceback_of_an_application_that_configures_logging(
    write: Write, client: httpx.Client, late: bool
) -> None:
    path = write(
        "configuring.py",
        f"""
        import logging, logging.config
        def configure():
            logging.config.dictConfig({{
                "version": 1,
                "handlers": {{"console": {{"class": "logging.StreamHandler"}}}},
                "root": {{"handlers": ["console"], "level": "DEBUG"}},
            }})
        {"" if late else "configure()"}
        def app(environ, start_response):
            if environ["PATH_INFO"] == "/configure":
                configure()
            else:
                raise RuntimeError("no database")
            start_response("204 No Content", [])
            return []
        """,
    )
    with Served(path.parent, "--bind", "127.0.0.1:0", "configuring") as served:
        url = served.location()
        if late:
            assert client.get(f"{url}/configure").status_code == 204
        assert client.get(url).status_code == 500
        served.stop()
    assert sum("RuntimeError: no database" in line for line in served.said) == 1
    assert sum(line.endswith("rocket_cli: stopped") for line in served.said) == 1
