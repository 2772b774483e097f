from __future__ import annotations

from dataclasses import fields
from math import nan

import pytest

from rocket_core import Timeouts


@pytest.mark.parametrize("name", [field.name for field in fields(Timeouts)])
@pytest.mark.parametrize("value", [0, -1.5, nan])
def test_time_outs_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"time-out {name} must be greater than 0"):
        Timeouts(**{name: value})
