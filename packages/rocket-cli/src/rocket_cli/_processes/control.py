"""What a process does that the supervisor tells it, or others ask it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Final

from rocket_cli._processes.channel import Channel, ChannelError, Message

_log = logging.getLogger("rocket_cli")

PATIENCE: Final = 10.0
"""Seconds for the supervisor to answer, which gives other processes less."""

Handler = Callable[[Message], Message]
"""Answers a question, given its arguments. Called on the control thread, one at a time."""

Order = Callable[[Message], None]


def ping(arguments: Message) -> Message:
    """Answer that the process is there."""
    return {"ping": arguments}


class Control:
    """A thread that reads the channel to the supervisor.

    Once the supervisor is gone, it gives the order ``end``.

    ``_lock`` guards the questions of this process that are not answered yet.
    """

    def __init__(
        self, channel: Channel, orders: Mapping[str, Order], handlers: Mapping[str, Handler]
    ) -> None:
        self._channel = channel
        self._orders = orders
        self._handlers = {"ping": ping, **handlers}
        self._thread = threading.Thread(target=self._run, name="rocket-control", daemon=True)
        self._lock = threading.Lock()
        self._asked: dict[int, queue.SimpleQueue[Message]] = {}
        self._last = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self, name: str, arguments: Message, timeout: float = PATIENCE) -> Message:
        """Ask the supervisor, or through it all processes that serve.

        Returns a message with ``answers``, a list of objects that say of which ``process`` and
        ``generation`` they are, and ``ended``, what processes that have ended had counted. Raises
        `TimeoutError` after ``timeout`` seconds. Any thread but the control thread may call this.
        """
        answer: queue.SimpleQueue[Message] = queue.SimpleQueue()
        with self._lock:
            self._last = number = self._last + 1
            self._asked[number] = answer
        self._channel.send({"ask": name, "id": number, "arguments": arguments})
        try:
            return answer.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"the supervisor has not answered {name}") from None
        finally:
            with self._lock:
                del self._asked[number]

    def _run(self) -> None:
        try:
            for message in self._channel:
                if "question" in message:
                    self._channel.send({"answer": message["question"], **self._answer(message)})
                elif "answers" in message:
                    self._answered(message)
                elif (order := self._orders.get(message.get("order", ""))) is not None:
                    order(message)
        except ChannelError as error:
            _log.error("the supervisor is not understood: %s", error)
        self._orders["end"]({})

    def _answered(self, message: Message) -> None:
        with self._lock:
            waiting = self._asked.get(message["id"])
        if waiting is not None:
            waiting.put(message)

    def _answer(self, message: Message) -> Message:
        handler = self._handlers.get(message["name"])
        if handler is None:
            return {"result": {"error": f"there is no question {message['name']!r}"}}
        try:
            return {"result": handler(message["arguments"])}
        except Exception as error:  # noqa: BLE001 - the next question is to be answered, too
            _log.exception("answering %s failed", message["name"])
            return {"result": {"error": f"{type(error).__name__}: {error}"}}
