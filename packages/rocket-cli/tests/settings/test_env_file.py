from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from choosing import choose
from conftest import Write
from processes import Served, refuse, run
from rocket_cli._errors import CommandError
from rocket_cli._settings.env_file import EnvFile, enter, is_own, outer_environment
from rocket_core.testing import eventually

NAMED = """
    import os
    def app(environ, start_response):
        start_response("200 OK", [])
        return [os.environ.get("SHOP_NAME", "none").encode()]
"""
ANY = ("--bind", "127.0.0.1:0", "--env-file", "shop.env", "app")


@pytest.fixture(autouse=True)
def taken_back() -> Iterator[None]:
    yield
    enter({})


def read(path: Path, text: str) -> dict[str, str]:
    file = path / "x.env"
    file.write_text(text, encoding="utf-8", newline="")
    return EnvFile(file).values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB_2=two words \n", {"A": "1", "B_2": "two words"}),
        ("# A=1\n; B=2\n\n  \n  C = 3 \r\n", {"C": "3"}),
        ("A=", {"A": ""}),
        ("A=x=y#z # no comment", {"A": "x=y#z # no comment"}),
        ("A='a \"b\" \\n $HOME '", {"A": 'a "b" \\n $HOME '}),
        ('A=" a \\"b\\" \\$c \\n "', {"A": ' a "b" $c \\n '}),
        ("A=$HOME ${B}", {"A": "$HOME ${B}"}),
        ("A='one\ntwo'\nB=3", {"A": "one\ntwo", "B": "3"}),
        ("A=one \\\ntwo\nB=3", {"A": "one two", "B": "3"}),
        ('A="one \\\ntwo"', {"A": "one two"}),
        ("A=a\\ \\'b\\\\", {"A": "a 'b\\"}),
        ("A=1' 2 '3", {"A": "1 2 3"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=caf\xe9", {"A": "caf\xe9"}),
    ],
)
def test_values(tmp_path: Path, text: str, expected: dict[str, str]) -> None:
    assert read(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("A=1\nB", 2, "'B' has no =: use NAME=VALUE"),
        ("\n\nexport A=1", 3, "leave out export: A=..."),
        ("export \b=1", 1, r"'export \x08' is not the name of a variable"),
        ("2A=1", 1, "'2A' is not the name of a variable"),
        ("a-b=1", 1, "'a-b' is not the name of a variable"),
        ("=1", 1, "'' is not the name of a variable"),
        ("A='1\nB=2\n", 1, "A begins with ', which has no end"),
        ('#\nA=1\nB=x"1\nC=2\n', 3, 'B begins with ", which has no end'),
        ("A=a\0b", 1, "A contains a NUL character"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, text: str, line: int, complaint: str) -> None:
    with pytest.raises(CommandError) as found:
        read(tmp_path, text)
    assert found.value.message.startswith(f"{tmp_path}/x.env:{line}: {complaint}")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    try:
        read(tmp_path_factory.getbasetemp(), text)
    except CommandError:
        return


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Z_0-9]{1,5}", fullmatch=True),
        st.text(st.characters(exclude_characters="'\0\r", exclude_categories=["Cs"])),
    )
)
def test_quoted_values_are_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]
) -> None:
    text = "".join(f"{name}='{value}'\n" for name, value in values.items())
    assert read(tmp_path_factory.getbasetemp(), text) == values


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot read the file of --env-file .*: No such file"):
        EnvFile(tmp_path / "none")


def test_environment_overrides_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_A", "outer")
    monkeypatch.delenv("SHOP_B", raising=False)
    enter({"SHOP_A": "file", "SHOP_B": "file"})
    assert (os.environ["SHOP_A"], os.environ["SHOP_B"]) == ("outer", "file")
    assert not is_own("SHOP_A")
    assert is_own("SHOP_B")
    assert "SHOP_B" not in outer_environment()
    assert outer_environment()["SHOP_A"] == "outer"
    enter({"SHOP_C": "file"})
    assert "SHOP_B" not in os.environ
    os.environ["SHOP_C"] = "changed"
    enter({})
    assert os.environ.pop("SHOP_C") == "changed"


def test_settings_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shop.env"
    path.write_text("#\nROCKET_THREADS=3\nROCKET_BACKLOG=7\n")
    monkeypatch.setenv("ROCKET_BACKLOG", "9")
    chosen = choose("app", "--env-file", str(path))
    assert chosen["threads"].most == 3
    assert str(chosen.origin("threads")) == f"{path}:2: ROCKET_THREADS"
    assert chosen["backlog"] == 9
    assert chosen.origin("backlog").source == "environment"
    assert choose("app", "--env-file", str(path), "--threads", "4")["threads"].most == 4
    assert choose("app")["threads"].most != 3


def test_error_of_a_setting_names_the_line(tmp_path: Path, write: Write) -> None:
    write("shop.env", "ROCKET_THREADS=many\n")
    assert refuse(tmp_path, *ANY).startswith("shop.env:1: ROCKET_THREADS: ")


def test_file_named_in_the_settings_file(tmp_path: Path, write: Write) -> None:
    write("shop.env", "ROCKET_THREADS=3\n")
    write("rocket.toml", 'env-file = "shop.env"\n')
    done = run(tmp_path, "config")
    assert "shop.env:1" in done.stdout
    assert "threads = " in done.stdout


def test_reload_reads_it_again(tmp_path: Path, write: Write) -> None:
    write("app.py", NAMED)
    write("shop.env", "SHOP_NAME='one'\nSHOP_OLD=1\n")
    with Served(tmp_path, *ANY) as served:
        location = served.location()
        assert httpx.get(location).text == "one"
        write("shop.env", "SHOP_NAME=two\n")
        served.send(signal.SIGHUP)
        served.wait_for("reloaded")
        assert httpx.get(location).text == "two"
        write("shop.env", "SHOP_NAME\n")
        served.send(signal.SIGHUP)
        served.wait_for("shop.env:1: 'SHOP_NAME' has no =: use NAME=VALUE")
        assert httpx.get(location).text == "two"
        write("shop.env", "SHOP_OTHER=three\n")
        served.send(signal.SIGHUP)
        served.wait_for("reloaded")
        assert httpx.get(location).text == "none"


def test_new_supervisor_reads_it_again(tmp_path: Path, write: Write) -> None:
    """It is not taken for the environment of the new supervisor, which would override the file."""
    write("app.py", NAMED)
    write("shop.env", "SHOP_NAME=one\n")
    with Served(tmp_path, *ANY) as served:
        location = served.location()
        assert httpx.get(location).text == "one"
        write("shop.env", "SHOP_NAME=two\n")
        served.send(signal.SIGUSR2)
        eventually(lambda: httpx.get(location).text == "two")


def test_variable_of_the_environment_wins(tmp_path: Path, write: Write) -> None:
    write("app.py", NAMED)
    write("shop.env", "SHOP_NAME=one\n")
    with Served(tmp_path, *ANY, SHOP_NAME="outer") as served:
        assert httpx.get(served.location()).text == "outer"
