"""Listeners that are bound before their server starts."""

from __future__ import annotations

from rocket_core import Listener


class EarlyListener(Listener):
    """Once bound it stays so until it is closed; binding it again changes nothing."""

    _is_bound = False

    def bind(self) -> None:
        """Bind and listen, unless that is done. Raises `BindError`."""
        if not self._is_bound:
            super().bind()
            self._is_bound = True

    def close(self) -> None:
        """Close the socket; it may be bound anew."""
        super().close()
        self._is_bound = False
