"""Listeners that are bound before their server starts."""

from __future__ import annotations

from rocket_core import Listener


class EarlyListener(Listener):
    """A listener that stays bound until it is closed, so that its server finds it bound.

    Binding it again changes nothing. After `close`, it can be bound again.
    """

    _is_bound = False

    def bind(self) -> None:
        """Bind and listen, unless the listener is bound. Raises `BindError`."""
        if not self._is_bound:
            super().bind()
            self._is_bound = True

    def close(self) -> None:
        """Close the socket."""
        super().close()
        self._is_bound = False
