"""What the tables of migrations say of other servers, compared with the servers themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import KNOWN_SETTINGS, Config
from waitress.adjustments import Adjustments, asbool

from rocket_cli._migration.counterparts import Row
from rocket_cli._migration.draft import Draft
from rocket_cli._migration.gunicorn.command_line import parse_command_line
from rocket_cli._migration.options import Fate, Given
from rocket_cli._migration.uwsgi.files import read_options
from rocket_cli._migration.uwsgi.reading import FLAGS
from rocket_cli._settings.all_settings import SETTINGS
from rocket_core.testing import PATIENCE
from systemtests.migration_tables import DIRECTORY, TABLES, written

GUNICORN, UWSGI, WAITRESS, MOD_WSGI = (
    TABLES[name] for name in ("gunicorn", "uwsgi", "waitress", "mod_wsgi")
)
DAEMON_OPTIONS = """
    processes threads display-name home user group supplementary-groups umask lang locale chroot
    script-user script-group python-home python-path python-eggs switch-interval restart-interval
    maximum-requests inactivity-timeout request-timeout interrupt-timeout deadlock-timeout
    startup-timeout graceful-timeout eviction-timeout shutdown-timeout connect-timeout
    socket-timeout queue-timeout listen-backlog socket-user cpu-time-limit cpu-priority
    memory-limit virtual-memory-limit stack-size receive-buffer-size send-buffer-size
    header-buffer-size response-buffer-size response-socket-timeout response-flush-delay
    server-metrics
""".split()  # noqa: SIM905 - shorter than a list
"""The options of WSGIDaemonProcess in mod_wsgi 6.0, which needs Apache to be built."""
DIRECTIVES = """
    AcceptMutex AccessScript ApplicationGroup AuthGroupScript AuthUserScript CallableObject
    CaseSensitivity ChunkedRequest DaemonProcess DestroyInterpreter DispatchScript
    DontWriteBytecode EnableSendfile ErrorOverride FreeThreading HandlerScript IgnoreActivity
    ImportScript InterpreterOptions MapHEADToGET PassApacheRequest PassAuthorization
    PerInterpreterGIL ProcessGroup PythonEggs PythonHashSeed PythonHome PythonOptimize PythonPath
    PythonWarnings RestrictEmbedded RestrictProcess RestrictSignal RestrictStdin RestrictStdout
    ScriptAlias ScriptAliasMatch ScriptReloading ServerMetrics SlowRequests SocketPrefix
    SocketRotation SwitchInterval TelemetryOptions TelemetryService TrustedProxies
    TrustedProxyHeaders
""".split()  # noqa: SIM905 - shorter than a list
"""Its directives, without ``WSGI`` at their beginning."""
EXPRESS_OPTIONS = """
    --access-log --access-log-format --access-log-name --add-handler --allow-localhost
    --allow-override --application-group --application-type --auth-group --auth-group-script
    --auth-type --auth-user-script --body-max-timeout --body-min-rate --body-timeout
    --callable-object --chunked-request --compress-responses --connect-timeout --coverage-directory
    --cpu-time-limit --daemon-backlog --deadlock-timeout --debug-mode --debugger-startup
    --directory-index --directory-listing --disable-reloading --document-root --embedded-mode
    --enable-coverage --enable-debugger --enable-docs --enable-gdb --enable-profiler
    --enable-recorder --enable-sendfile --enable-telemetry --entry-point --envvars-script
    --error-document --error-log-format --error-log-name --error-override --eviction-timeout
    --free-threading --gdb-executable --graceful-timeout --group --header-buffer-size
    --header-max-timeout --header-min-rate --header-timeout --host --host-access-script
    --hsts-policy --http2 --httpd-executable --https-only --https-port --ignore-activity
    --inactivity-timeout --include-file --initial-workers --interrupt-timeout --keep-alive-timeout
    --lang --limit-request-body --locale --log-directory --log-level --log-to-terminal
    --map-head-to-get --max-clients --max-log-size --maximum-requests --maximum-spare-workers
    --mime-types --minimum-spare-workers --modules-directory --mount-point --orphan-interpreter
    --passenv --pid-file --port --process-group --process-name --processes --profiler-directory
    --proxy-mount-point --proxy-timeout --proxy-url-alias --proxy-virtual-host --python-eggs
    --python-path --python-warnings --queue-timeout --receive-buffer-size --recorder-directory
    --reload-on-changes --request-timeout --response-buffer-size --response-flush-delay
    --response-socket-timeout --restart-interval --rewrite-rules --rotate-logs
    --rotatelogs-executable --send-buffer-size --server-alias --server-backlog --server-metrics
    --server-mpm --server-name --server-root --server-status --service-group --service-log-file
    --service-script --service-user --setenv --setup-only --shell-executable --shutdown-timeout
    --slow-requests --socket-prefix --socket-timeout --ssl-ca-certificate-file --ssl-certificate
    --ssl-certificate-chain-file --ssl-certificate-file --ssl-certificate-key-file --ssl-environment
    --ssl-port --ssl-verify-client --startup-log --startup-log-name --startup-timeout
    --switch-interval --telemetry-interval --telemetry-options --telemetry-service
    --telemetry-ui-port --threads --trust-proxy --trust-proxy-header --url-alias --user
    --verbose-debugging --with-cgi --with-php5 --working-directory
""".split()  # noqa: SIM905 - shorter than a list
"""The options of its command mod_wsgi-express."""


def names(rows: list[Row]) -> set[str]:
    return {name for row in rows for name in (row.name, *row.names)}


@pytest.mark.parametrize("name", TABLES)
def test_page_has_the_table(name: str) -> None:
    """Run `PYTHONPATH=tests python tests/systemtests/migration_tables.py` when this fails."""
    text = (DIRECTORY / f"{name}.md").read_text(encoding="utf-8")
    assert text == written(text, TABLES[name])


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_complete(name: str) -> None:
    known = {each.name for each in SETTINGS}
    for row in TABLES[name].rows:
        assert set(row.settings) <= known, row
        assert row.fate is not Fate.CARRIED or (row.settings and row.carry), row
        if row.fate is not Fate.CARRIED:
            assert row.note.endswith("."), row


def test_every_setting_of_gunicorn_is_in_the_table() -> None:
    assert {row.name for row in GUNICORN.rows} == {each.name for each in KNOWN_SETTINGS}


def test_options_of_gunicorn_are_those_of_its_settings() -> None:
    for each in KNOWN_SETTINGS:
        row = GUNICORN.find(each.name)
        assert row is not None
        long = f"--{row.name.replace('_', '-')}"
        given = set(row.names)
        if not any(name.startswith("--") for name in given):
            given.add(long)
        if each.cli is not None:
            assert given == set(each.cli), row
            assert row.flag == (each.action in {"store_true", "store_const"}), row
            assert row.many == (each.action == "append"), row
        else:
            assert row.names == (), row


def test_defaults_of_gunicorn_are_not_reported() -> None:
    for each in KNOWN_SETTINGS:
        row = GUNICORN.find(each.name)
        assert row is not None
        of_this_machine = each.name in {"user", "group", "chdir", "control_socket", "config"}
        if row.fate is not Fate.CARRIED and not callable(each.default) and not of_this_machine:
            draft = Draft()
            row.apply(draft, Given(each.name, each.default, ""))
            assert draft.findings == [], row


def test_table_of_settings_names_settings_of_gunicorn() -> None:
    for setting in SETTINGS:
        for name in filter(None, setting.gunicorn.split(", ")):
            row = GUNICORN.find(name)
            assert row is not None, name
            assert setting.name in row.settings, name


def test_every_option_of_uwsgi_is_in_the_table() -> None:
    program = Path(sys.executable).with_name("uwsgi")
    shown = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    options = re.findall(r"^ +(?:-(\w)\|)?--?([a-zA-Z0-9-]+)", shown, re.MULTILINE)
    found = {name for pair in options for name in pair if name}
    assert len(found) > 900
    assert {name for name in found if UWSGI.find(name) is None} == set()
    assert found >= FLAGS


def test_every_option_of_waitress_is_in_the_table() -> None:
    parameters: dict[str, Any] = dict(Adjustments._params)
    assert names(WAITRESS.rows) == {*parameters, "app", "call"}
    for name, cast in parameters.items():
        row = WAITRESS.find(name)
        assert row is not None
        assert row.flag == (cast is asbool), row


def test_every_option_of_mod_wsgi_is_in_the_table() -> None:
    wanted = {
        *(f"{name}=" for name in DAEMON_OPTIONS),
        *(f"WSGI{name}" for name in DIRECTIVES),
        *EXPRESS_OPTIONS,
    }
    # An older directive, and one of Apache itself.
    assert names(MOD_WSGI.rows) == {*wanted, "WSGILazyInitialization", "Alias"}


INI = """
[uwsgi]
; how many
project = board
base = /srv/%(project)
chdir = %(base)/code
processes = %(%k * 2)
threads = %(processes + 1)
# time-outs
harakiri = 90   ; seconds
pidfile = /tmp/%n-%s.pid
env = A=x ; y
procname-prefix = $(HOME)/%c %d|
log-format = %(addr) "%(method)"
module=%(project).wsgi
no-server = true

[other]
workers = 7
"""
FORMS = {
    "a.ini": INI,
    "a.yaml": "uwsgi:\n  # how\n  threads: 4\n  env: A=b # c\n  no-server: true\n",
    "a.json": '{"uwsgi": {"env": ["A=b", "C=d"], "processes": 3, "no-server": "true"}}',
    "a.xml": "<uwsgi><threads>4</threads><env>A=b</env><no-server>true</no-server></uwsgi>",
}


@pytest.mark.parametrize("name", FORMS)
def test_files_of_uwsgi_are_read_as_uwsgi_reads_them(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(FORMS[name], encoding="utf-8")
    program = Path(sys.executable).with_name("uwsgi")
    command = [str(program), str(path), "--show-config"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    shown = (done.stdout + done.stderr).partition("[uwsgi]\n")[2].partition("\n;end of")[0]
    theirs = [tuple(line.split(" = ", 1)) for line in shown.splitlines()]
    theirs = [(key, value.partition("   ;")[0]) for key, value in theirs]
    ours = [(each.name, str(each.value)) for each in read_options(path, UWSGI.find)]
    made_up = {"show-config", "project", "base"}  # names that are placeholders only
    assert ours == [pair for pair in theirs if pair[0] not in made_up]
    assert len(ours) > 2


@pytest.mark.parametrize(
    "line",
    [
        "-w 4 -b :80 --bind unix:a.sock -k gthread --threads=3 a:b",
        "a:b --preload -D -R --env A=1 -e B=2 --no-sendfile --limit-request-field_size 5",
        "--proxy-protocol --reload --log-file - --access-logfile x -n name -m 022 a:b",
        "--proxy-protocol v2 --paste app.ini --paste-global a=b --keep-al 3",
    ],
)
def test_command_lines_of_gunicorn_are_read_as_gunicorn_reads_them(line: str) -> None:
    theirs = vars(Config().parser().parse_args(line.split()))
    application = theirs.pop("args")
    ours = parse_command_line(line.split())
    assert ours.pop("wsgi_app", None) == (application[0] if application else None)
    given = {key: value for key, value in theirs.items() if value is not None}
    assert {key: str(value) for key, value in ours.items()} == {
        # The types are those of the settings, and the numbers of umask are read by gunicorn.
        key: "022" if key == "umask" else str(value)
        for key, value in given.items()
    }
