"""Counters that only ever grow, though the processes that count come and go."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from rocket_cli._admin.counters import Counters, total
from rocket_cli._admin.reply import Reply


class Ledger:
    """The sum of what all processes have counted, those included that have ended.

    Any thread may use it; ``_lock`` guards what processes have told.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[tuple[int, int], Mapping[str, Any]] = {}

    def total(self, reply: Reply) -> Counters:
        """The sum, from an answer to ``stats``.

        A process that was asked and did not answer counts with what it told before.
        """
        with self._lock:
            told = {}
            for each in reply.answers:
                key = each["process"], each["generation"]
                told[key] = each.get("counters") or self._told.get(key, {})
            self._told = told
            return total([reply.ended, *told.values()])
