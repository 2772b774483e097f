"""The docstrings behind the members of an enumeration, which Python does not keep."""

from __future__ import annotations

import ast
import inspect
import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enum import Enum
    from types import ModuleType


def documented(enum: type[Enum], source: ModuleType) -> dict[str, str]:
    """Return what is said in its module of each member, by the value of the member."""
    module = ast.parse(inspect.getsource(source))
    (body,) = [
        each.body
        for each in module.body
        if isinstance(each, ast.ClassDef) and each.name == enum.__name__
    ]
    found = {}
    for member, text in pairwise(body):
        if (
            isinstance(member, ast.Assign)
            and isinstance(member.targets[0], ast.Name)
            and member.targets[0].id in enum.__members__
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            name = member.targets[0].id
            found[str(enum[name].value)] = _plain(str(text.value.value))
    missing = {str(each.value) for each in enum} - set(found)
    if missing:
        raise LookupError(f"{enum.__name__} does not describe {missing}")
    return found


def _plain(text: str) -> str:
    """Return a docstring as one line, in which names of the code are code."""
    return re.sub(r"`+([^`]+)`+", r"`\1`", " ".join(text.split()))
