"""Variants of the code under test: a line left out, or two in another order.

A test of protecting lines is worth something if it fails without them. A `Mutation` is a change to
the source of a function, so that it always is a variant of the present code, and cannot be applied
any more when that line is not there.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pytest


class Mutation(NamedTuple):
    """A change to a method: the lines ``was`` become ``becomes``, with their indentation.

    Attributes:
        owner: the class of the method.
        name: the name of the method.
        was: what is there once.
        becomes: what is to be there.
    """

    owner: type
    name: str
    was: str
    becomes: str

    def apply(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the class use the variant until the end of the test."""
        found = inspect.getattr_static(self.owner, self.name)
        function: Any = found.fget if isinstance(found, property) else found
        source = textwrap.dedent("".join(inspect.getsourcelines(function)[0]))
        if source.count(self.was) != 1:
            raise LookupError(f"{self.owner.__name__}.{self.name} does not have once: {self.was}")
        tree = ast.parse(source.replace(self.was, self.becomes))
        ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
        future = ast.parse("from __future__ import annotations").body
        tree.body[:0] = future
        names: dict[str, Any] = {}
        exec(compile(tree, function.__code__.co_filename, "exec"), function.__globals__, names)
        monkeypatch.setattr(self.owner, self.name, names[self.name])
