"""The limit of open files, which the command raises for all its processes."""

from __future__ import annotations

import resource

import httpx
import pytest

from conftest import Write
from processes import COMMAND, Served
from rocket_cli._supervisor.open_files import raise_open_files

ENDLESS = resource.RLIM_INFINITY

TELL = """
    import resource, subprocess

    def app(environ, start_response):
        own, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        child = subprocess.run(["sh", "-c", "ulimit -S -n"], capture_output=True, check=True)
        start_response("200 OK", [])
        return [f"{own} {child.stdout.decode().strip()}".encode()]
"""


class Limits:
    """The limits of a system that allows up to ``most``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, most: int) -> None:
        self.limits = soft, hard
        self._most = most
        monkeypatch.setattr(resource, "getrlimit", lambda _: self.limits)
        monkeypatch.setattr(resource, "setrlimit", self._set)

    def _set(self, name: int, limits: tuple[int, int]) -> None:
        assert name == resource.RLIMIT_NOFILE
        if limits[0] == ENDLESS or limits[0] > self._most:
            raise ValueError("current limit exceeds maximum limit")
        self.limits = limits


@pytest.mark.parametrize("processes", ["1", "2"])
def test_all_processes_and_their_children_have_the_hard_limit(
    write: Write, client: httpx.Client, processes: str
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == ENDLESS or hard < 200:
        pytest.skip("the hard limit of this system is not a usual one")
    command = ["sh", "-c", 'ulimit -S -n 150; exec "$@"', "sh", *COMMAND]
    path = write("tell.py", TELL)
    options = ["--bind", "127.0.0.1:0", "--processes", processes]
    with Served(path.parent, *options, "tell", command=command) as served:
        assert client.get(served.location()).text == f"{hard} {hard}"
        served.stop()
    assert not any("limit" in line for line in served.said)


def test_limit_that_is_the_hard_one_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, 4096, 4096, most=0)
    raise_open_files()
    assert limits.limits == (4096, 4096)


def test_limit_that_cannot_be_raised_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, 1024, 4096, most=2048)
    raise_open_files()
    assert limits.limits == (1024, 4096)


@pytest.mark.parametrize(
    ("soft", "most", "raised"),
    [
        (256, 10_240, 10_240),
        (256, 5000, 256),
        (256, 245_760, 131_072),
        (256, 1 << 30, 1 << 20),
        (10_240, 10_240, 10_240),
        (2_000_000, 4_000_000, 2_000_000),
        (ENDLESS, 10_240, ENDLESS),
    ],
)
def test_infinite_hard_limit_of_a_system_that_allows_less(
    monkeypatch: pytest.MonkeyPatch, soft: int, most: int, raised: int
) -> None:
    """As macOS does: the kernel has a limit that it does not tell here."""
    limits = Limits(monkeypatch, soft, ENDLESS, most)
    raise_open_files()
    assert limits.limits == (raised, ENDLESS)


def test_infinite_limit_where_the_system_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch, 256, ENDLESS, most=0)
    monkeypatch.setattr(resource, "setrlimit", lambda _, value: setattr(limits, "limits", value))
    raise_open_files()
    assert limits.limits == (ENDLESS, ENDLESS)
