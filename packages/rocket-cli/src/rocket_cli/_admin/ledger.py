"""Counters that never decrease, although the processes that count come and go."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from rocket_cli._admin.counters import Counters, total
from rocket_cli._admin.reply import Reply


class Ledger:
    """The sum of the counters of all processes, including processes that have ended.

    Any thread may use it. ``_lock`` guards `_told`, the last counters of each process, by its
    process ID and generation.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[tuple[int, int], Mapping[str, Any]] = {}

    def total(self, reply: Reply) -> Counters:
        """Return the sum, given the reply to ``stats``.

        A process that was asked and did not answer counts with its previous counters.
        """
        with self._lock:
            told = {}
            for each in reply.answers:
                key = each["process"], each["generation"]
                told[key] = each.get("counters") or self._told.get(key, {})
            self._told = told
            return total([reply.ended, *told.values()])
