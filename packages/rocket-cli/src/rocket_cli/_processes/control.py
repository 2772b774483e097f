"""The thread of a process that carries out orders of the supervisor and answers questions."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Final

from rocket_cli._processes.channel import Channel, ChannelError, Message

_log = logging.getLogger("rocket_cli")

PATIENCE: Final = 10.0
"""Seconds to wait for the supervisor's answer; the supervisor waits less for other processes."""

Handler = Callable[[Message], Message]
"""Answers a question, given its arguments; the control thread calls one at a time."""

Order = Callable[[Message], None]
"""Carries out an order, given its message; the control thread calls it."""


class Control:
    """The thread that reads the channel to the supervisor.

    When the supervisor is gone, the thread carries out the order ``end``, so that no process stays
    behind.

    ``_lock`` guards `_asked`, the questions of this process that have not been answered.
    """

    def __init__(
        self, channel: Channel, orders: Mapping[str, Order], handlers: Mapping[str, Handler]
    ) -> None:
        """Prepare the thread; ``orders`` must have ``end``, and ``handlers`` answer questions."""
        self._channel = channel
        self._orders = orders
        self._handlers = handlers
        self._thread = threading.Thread(target=self._run, name="rocket-control", daemon=True)
        self._lock = threading.Lock()
        self._asked: dict[int, queue.SimpleQueue[Message]] = {}
        self._last = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self, name: str, arguments: Message, timeout: float = PATIENCE) -> Message:
        """Ask the supervisor or, through it, all worker processes, and wait for the answers.

        Returns a message with ``answers``, a list of objects with the ``process`` and
        ``generation`` that they come from, and ``ended``, the counters of processes that have
        ended. Raises `TimeoutError` after ``timeout`` seconds. Any thread except the control
        thread may call this.
        """
        answer: queue.SimpleQueue[Message] = queue.SimpleQueue()
        with self._lock:
            self._last = number = self._last + 1
            self._asked[number] = answer
        self._channel.send({"ask": name, "id": number, "arguments": arguments})
        try:
            return answer.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(
                f"the supervisor has not answered {name} within {timeout:g} seconds"
            ) from None
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
            _log.error("invalid message from the supervisor, ending: %s", error)
        self._orders["end"]({})

    def _answered(self, message: Message) -> None:
        # 1. The thread that has asked gives up, and is about to remove its queue in `ask`.
        # 2. The answer arrives. Found here, it goes to a queue that no thread reads; not found, it
        #    is dropped. Both are right, because `ask` uses a queue for one answer only.
        with self._lock:
            waiting = self._asked.get(message["id"])
        if waiting is not None:
            waiting.put(message)

    def _answer(self, message: Message) -> Message:
        handler = self._handlers.get(message["name"])
        if handler is None:
            return {"result": {"error": f"unknown question {message['name']!r}"}}
        try:
            return {"result": handler(message["arguments"])}
        except Exception as error:  # noqa: BLE001 - the thread must go on to answer
            _log.exception("cannot answer the question %s", message["name"])
            return {"result": {"error": f"{type(error).__name__}: {error}"}}
