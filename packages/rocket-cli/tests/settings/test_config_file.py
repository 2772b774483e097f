from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Write
from rocket_cli._errors import CommandError
from rocket_cli._settings.config_file import ConfigFile, find_config, find_line

DOCUMENT = """\
# threads are fun
title = '''
threads = 1
''' # not the key
"bind" = [
    "threads", # nor this
]
threads = 8

[tool.rocket]
bind = ["a"]
tls-cert = "b"
[tool]
rocket.max-body = 3
other = { threads = 1 }
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("title", 2),
        ("bind", 5),
        ("threads", 8),
        ("tool", 10),
        ("tool rocket", 10),
        ("tool rocket bind", 11),
        ("tool rocket tls-cert", 12),
        ("missing", None),
        ("tool rocket threads", None),
    ],
)
def test_line_of_a_key(path: str, line: int | None) -> None:
    document = DOCUMENT.partition("[tool]\n")[0]
    assert find_line(document, path.split()) == line


def test_line_of_a_dotted_key_and_of_one_in_an_inline_table() -> None:
    document = "[tool]\nrocket.max-body = 3\nother = { threads = 1 }\n"
    assert find_line(document, ["tool", "rocket", "max-body"]) == 2
    assert find_line(document, ["tool", "other", "threads"]) == 3


def test_line_of_a_key_written_with_escapes_is_not_known() -> None:
    document = '"thr\\u0065ads" = 1'
    assert tomllib.loads(document) == {"threads": 1}
    assert find_line(document, ["threads"]) is None


ITEMS = st.lists(
    st.sampled_from(
        ["{} = 1", '{} = """\nkey = 2\n# {}\n"""', '"{}" = [\n1, # {}\n2]', "{}.a.b = 'key'"]
    ),
    max_size=6,
)


@given(ITEMS, st.lists(st.sampled_from(["", "# key = 1", "#"]), max_size=3))
def test_lines_are_those_of_their_keys(items: list[str], noise: list[str]) -> None:
    text = ""
    lines = {}
    for number, item in enumerate(items):
        key = "key" * (number + 1)  # so that one is found in another
        text += "".join(f"{each}\n" for each in noise)
        lines[key] = text.count("\n") + 1
        text += item.replace("{}", key) + "\n"
    assert set(tomllib.loads(text)) == set(lines)
    for key, line in lines.items():
        assert find_line(text, [key]) == line


def test_rocket_toml_has_precedence_over_pyproject(project: Path, write: Write) -> None:
    assert find_config() is None
    write("pyproject.toml", "[tool.rocket]\nthreads = 2")
    shared = find_config()
    assert shared is not None
    assert shared.values == {"threads": 2}
    assert shared.place("threads") == "pyproject.toml:2"
    write("rocket.toml", "threads = 3")
    own = find_config()
    assert own is not None
    assert own.values == {"threads": 3}
    assert own.place("threads") == "rocket.toml:1"


def test_pyproject_without_settings(project: Path, write: Write) -> None:
    write("pyproject.toml", "[tool.black]\nline-length = 100")
    assert find_config() is None


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"threads = \n", ["not valid TOML", "line 1"]),
        (b"threads = 1\nthreads = 2\n", ["not valid TOML", "line 2"]),
        (b"\xff", ["UTF-8"]),
        (None, ["No such file"]),
    ],
)
def test_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, named: list[str]) -> None:
    path = tmp_path / "rocket.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CommandError) as caught:
        ConfigFile(path)
    for name in [str(path), *named]:
        assert name in str(caught.value)


def test_table_that_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[tool]\nrocket = 3")
    with pytest.raises(CommandError, match=r"pyproject\.toml:2: tool\.rocket must be a table"):
        ConfigFile(path)
