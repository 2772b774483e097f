"""The echo of the library `websockets`, on asyncio.

python -m bench.applications.websockets_server PORT
"""

from __future__ import annotations

import asyncio
import signal
import sys
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response


async def echo(websocket: ServerConnection) -> None:
    """Send messages back."""
    async for message in websocket:
        await websocket.send(message)


def answer(connection: ServerConnection, request: Request) -> Response | None:
    """Answer what is no websocket."""
    if "Upgrade" in request.headers:
        return None
    return connection.respond(HTTPStatus.OK, "Hello, world!")


async def main(port: int) -> None:
    """Serve until the process is told to end."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with serve(echo, "127.0.0.1", port, process_request=answer, compression=None):
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
