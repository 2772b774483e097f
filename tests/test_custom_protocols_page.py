"""The table of methods in docs/custom-protocols.md agrees with the class."""

from __future__ import annotations

import inspect
import re

from rocket_core import Connection
from systemtests.processes import ROOT

PAGE = ROOT / "docs" / "custom-protocols.md"


def rows() -> dict[str, str]:
    table = PAGE.read_text("utf-8").partition("<!-- methods: ")[2].partition("\n\n| ")[2]
    return dict(re.findall(r"^\| `(.*?)` \| (.*?) \|$", table.partition("\n\n")[0], re.MULTILINE))


def described(name: str) -> tuple[str, str]:
    """The call of a method, and the first sentence of its docstring."""
    method = getattr(Connection, name)
    signature = inspect.signature(method)
    parameters = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in [*signature.parameters.values()][1:]
    ]
    call = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    text = " ".join((inspect.getdoc(method) or "").split())
    sentence = re.match(r".*?\.(?= |$)", text)
    assert sentence is not None, f"{name} has no docstring"
    return f"{name}{call}", sentence[0].replace("``", "`")


def test_table_has_the_methods_as_they_are() -> None:
    found = rows()
    names = [call.partition("(")[0] for call in found]
    assert found == dict(map(described, names))
    assert len(found) == 15
    assert "peek" in names


def test_every_method_that_the_steps_use_is_in_the_table() -> None:
    used = set(re.findall(r"\bconnection\.(\w+)\(", PAGE.read_text("utf-8")))
    assert used <= {call.partition("(")[0] for call in rows()}
    assert len(used) > 6
