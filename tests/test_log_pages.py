"""The pages on log fields and statistics have what a server logs and tells."""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from rocket_cli._commands.main import main
from rocket_cli._logging.formatting import JSONLines, TextLines
from rocket_cli._logging.loggers import NAMES
from rocket_wsgi._access_log.format import FIELDS
from systemtests.processes import APPLICATIONS, PATIENCE, PLAIN, ROOT, Server, assert_quiet, serve
from systemtests.tables import rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from systemtests.certificates import Certificates

REFERENCE = ROOT / "docs" / "reference"
LOG_FIELDS = REFERENCE / "log-fields.md"
STATISTICS = REFERENCE / "statistics.md"

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "null": (type(None),),
}
HEADER = "header.x-tenant"


# -- the access log --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[tuple[Server, Path]]:
    """A server that logs all fields, with its admin socket."""
    admin = tmp_path_factory.mktemp("admin") / "admin.sock"
    fields = f"json:{','.join([*FIELDS, HEADER])}"
    log = ["--access-log", "-", "--access-log-format", fields]
    with serve(
        "seen:application",
        *PLAIN,
        *certificates.options,
        *log,
        *("--admin", str(admin)),
        cwd=APPLICATIONS,
    ) as server:
        yield server, admin
    assert_quiet(server.log)


def of_type(value: object, words: str) -> bool:
    return any(isinstance(value, TYPES[each]) for each in words.split(" or "))


def test_fields_of_the_access_log(server: tuple[Server, Path]) -> None:
    described = {name: kind for name, kind, _ in rows(LOG_FIELDS, "## The access log")[4:]}
    described[HEADER] = described.pop("header.NAME")
    assert set(described) == {*FIELDS, HEADER}
    answer = httpx.get(server[0].address, verify=False, timeout=PATIENCE, trust_env=False)
    assert answer.status_code == 200
    line = json.loads(server[0].wait_for(r"^\{.*\}$")[0])
    assert set(line) == set(described)
    for name, value in line.items():
        assert of_type(value, described[name]), (name, value)


# -- the log of the server -------------------------------------------------------------------------


def test_keys_of_messages() -> None:
    record = logging.LogRecord("rocket_cli", logging.INFO, "", 1, "text", (), None)
    described = {name: kind for name, kind, _ in rows(LOG_FIELDS, "## The log of the server")[:8]}
    usual = {name for name, kind in described.items() if "absent" not in kind}
    assert set(json.loads(JSONLines().format(record))) == usual
    record.exc_text, record.stack_info = "Traceback", "Stack"
    found = json.loads(JSONLines().format(record))
    assert set(found) == set(described)
    for name, value in found.items():
        assert of_type(value, described[name].removesuffix(", or absent")), name


def test_message_as_text() -> None:
    (shown,) = re.findall(r"^2026-.*$", LOG_FIELDS.read_text(encoding="utf-8"), re.MULTILINE)
    moment, process, level, logger, text = re.split(" ", shown, maxsplit=4)
    record = logging.LogRecord(
        logger.removesuffix(":"), logging.getLevelNamesMapping()[level], "", 1, text, (), None
    )
    record.process = int(process.strip("[]"))
    record.created = datetime.fromisoformat(moment).timestamp()
    found, _, rest = TextLines().format(record).partition(" ")
    assert datetime.fromisoformat(found) == datetime.fromisoformat(moment)
    assert rest == shown.partition(" ")[2]


def test_loggers() -> None:
    found = [name for name, *_ in rows(LOG_FIELDS, "## The log of the server")[8:]]
    assert sorted(found) == sorted(NAMES)


# -- statistics ------------------------------------------------------------------------------------


def flat(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths to all values that are no objects, and to empty objects."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from flat(each, f"{path}.{key}" if path else key)
    else:
        yield path


def pattern(key: str) -> re.Pattern[str]:
    """Match a path of the page, in which words in capitals stand for any name."""
    parts = [".+" if each.isupper() else re.escape(each) for each in key.split(".")]
    return re.compile(r"\.".join(parts) + r"\Z")


def beginnings(key: str) -> list[str]:
    """Return the paths to the objects in which a path of the page has any names."""
    parts = key.split(".")
    return [".".join(parts[:n]) for n, each in enumerate(parts) if each.isupper()]


def test_statistics(server: tuple[Server, Path], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["stats", "--json", "--admin", str(server[1])])
    assert ended.value.code in (0, None)
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"answers", "ended"}
    assert found["ended"] == {}
    (answer,) = found["answers"]
    page = [name for name, _ in rows(STATISTICS)][2:]
    paths = list(flat(answer))
    begun = [begin for key in page for begin in beginnings(key)]
    for path in paths:
        assert any(pattern(each).match(path) for each in (*page, *begun)), f"no {path} on the page"
    for key in page:
        # An object whose keys are names may be empty.
        possible = [key, *beginnings(key)]
        assert any(pattern(each).match(path) for each in possible for path in paths), key
