"""Variables of the environment that look like those of settings, and are none."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Final

from rocket_cli._settings.all_settings import SETTINGS

_PREFIX: Final = "ROCKET_"
_KNOWN: Final = frozenset({"ROCKET_CONFIG", *(each.variable for each in SETTINGS)})


def near_misses(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable that was probably meant for a setting."""
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in _KNOWN:
            near = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.85)
            if near:
                yield f"there is no setting {name}, and it has no effect: did you mean {near[0]}?"
