from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from websocket_peer import Notes, WebSocketServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def start() -> Iterator[Callable[..., WebSocketServer]]:
    """Starts servers of websockets, which end with the test."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(WebSocketServer(*args, **options))


@pytest.fixture
def notes() -> Notes:
    return Notes()
