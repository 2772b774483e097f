"""Channels, their subscribers, and the commands for both."""

from __future__ import annotations

import threading

from protocol import encode, encode_push
from rocket_core import SharedConnection

WHILE_SUBSCRIBED = (b"SUBSCRIBE", b"UNSUBSCRIBE", b"PING")


class Subscriber:
    """A client that has subscribed.

    Its channels belong to the thread that receives from it, until its connection has ended.
    """

    def __init__(self, shared: SharedConnection) -> None:
        self.shared = shared
        self.version = 2
        self.channels: dict[bytes, None] = {}


class Channels:
    """The subscribers of each channel. ``_lock`` guards the dictionary and its values."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: dict[bytes, dict[Subscriber, None]] = {}

    def publish(self, channel: bytes, message: bytes) -> int:
        """Send ``message`` to the subscribers of ``channel``; return how many they are.

        No thread waits for a subscriber: one that lets too many bytes wait is disconnected.
        """
        with self._lock:
            subscribers = list(self._subscribers.get(channel, ()))
        encoded = {n: encode_push([b"message", channel, message], n) for n in (2, 3)}
        for subscriber in subscribers:
            if not subscriber.shared.push(encoded[subscriber.version]):
                subscriber.shared.cut()
        return len(subscribers)

    def answer(self, words: list[bytes], subscriber: Subscriber, version: int) -> bytes | None:
        """Execute a command about subscriptions, or one that a subscriber may not use.

        Returns the answer, which may be empty because it was sent already; None: another command.
        """
        name, *arguments = words
        name = name.upper()
        subscriber.version = version
        if name == b"SUBSCRIBE" and arguments:
            for channel in arguments:
                subscriber.channels[channel] = None
                confirm(b"subscribe", channel, subscriber)  # before any message of the channel
                with self._lock:
                    self._subscribers.setdefault(channel, {})[subscriber] = None
            return b""
        if name == b"UNSUBSCRIBE":
            left = arguments or [*subscriber.channels]
            for channel in left:
                self._discard(channel, subscriber)
                confirm(b"unsubscribe", channel, subscriber)
            if not left:
                confirm(b"unsubscribe", None, subscriber)
            return b""
        if version == 3 or not subscriber.channels:
            return None  # version 3 tells answers from messages, so that all commands are allowed
        if name == b"PING":
            return encode_push([b"pong", b"".join(arguments[:1])], version)
        if name not in WHILE_SUBSCRIBED:
            return encode(ValueError("only SUBSCRIBE, UNSUBSCRIBE and PING while subscribed"), 2)
        return None

    def leave(self, subscriber: Subscriber) -> None:
        for channel in list(subscriber.channels):
            self._discard(channel, subscriber)

    def _discard(self, channel: bytes, subscriber: Subscriber) -> None:
        subscriber.channels.pop(channel, None)
        with self._lock:
            subscribers = self._subscribers.get(channel, {})
            subscribers.pop(subscriber, None)
            if not subscribers:
                self._subscribers.pop(channel, None)


def confirm(kind: bytes, channel: bytes | None, subscriber: Subscriber) -> None:
    items: list[bytes | int | None] = [kind, channel, len(subscriber.channels)]
    subscriber.shared.push(encode_push(items, subscriber.version))
