"""The echo in granian's own interface."""

from __future__ import annotations

from typing import Any


async def application(scope: Any, protocol: Any) -> None:
    """Serve one request or one websocket."""
    if scope.proto == "http":
        protocol.response_str(200, [("content-type", "text/plain")], "Hello, world!")
        return
    transport = await protocol.accept()
    while (message := await transport.receive()).kind:
        if message.kind == 2:
            await transport.send_str(message.data)
        else:
            await transport.send_bytes(message.data)
    protocol.close()
