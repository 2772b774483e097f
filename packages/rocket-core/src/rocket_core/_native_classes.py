"""What the source needs for its compiled build, and does without in the interpreted one.

Compiled modules know the layout of their classes, so Python classes cannot inherit from these
unless the compiler is told. It reads the decorator of `mypy_extensions` for that, and this package
depends on nothing; so the decorator below takes its place when the modules run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**attributes: object) -> Callable[[T], T]:
        """Return a decorator that returns its class. Compiled modules do not call it."""
        del attributes
        return lambda decorated: decorated


__all__ = ["mypyc_attr"]
