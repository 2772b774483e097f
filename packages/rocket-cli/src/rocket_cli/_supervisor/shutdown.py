"""The end of the supervisor and of all its processes."""

from __future__ import annotations

import logging
import signal
from enum import Enum
from typing import Final

from rocket_cli._processes.channel import Message
from rocket_cli._processes.signals import Order, Terminations
from rocket_cli._supervisor.child import Phase
from rocket_cli._supervisor.children import Children
from rocket_cli._supervisor.generations import Generations
from rocket_cli._supervisor.observer_processes import ObserverProcesses
from rocket_cli._supervisor.succession import Successor
from rocket_cli._supervisor.systemd_notify import Notifier

_log = logging.getLogger("rocket_cli")

_INTERRUPTED: Final = 1
_FAILED: Final = 2


def exit_code_after(number: signal.Signals) -> int:
    """Return the exit code if this signal ends the command before it has served."""
    return _INTERRUPTED if number is signal.SIGINT else 0


class Ending(Enum):
    """The stages of the end, in their order."""

    NOT = "not"
    GRACEFULLY = "gracefully"
    """Running requests may finish."""
    AT_ONCE = "at once"
    """Running requests are cut off; a further signal kills the processes."""


class Shutdown:
    """Ends the worker processes, and then the processes that observe them.

    Attributes:
        ending: the stage that has been reached.
        code: the exit code, once it is decided; None stands for 0 after having served.
        failure: the message with the reason why no process can serve.
        successor: the process ID of the new supervisor that has taken over.
    """

    def __init__(
        self,
        children: Children,
        generations: Generations,
        observers: ObserverProcesses,
        notifier: Notifier,
    ) -> None:
        """End nothing yet."""
        self._children = children
        self._generations = generations
        self._observers = observers
        self._notifier = notifier
        self._terminations = Terminations()
        self.ending = Ending.NOT
        self.code: int | None = None
        self.failure: Message | None = None
        self.successor: int | None = None

    @property
    def begun(self) -> bool:
        """Whether the supervisor is about to end."""
        return self.ending is not Ending.NOT

    def terminate(self) -> None:
        """Obey SIGTERM: the first one ends gracefully, a second one at once (`Terminations`).

        An end that an operator or a successor has begun is as graceful as the first one orders.
        """
        order = self._terminations.arrived()
        if order is Order.STOP or self.ending is Ending.AT_ONCE:
            self._obey(signal.SIGTERM, Ending.AT_ONCE)
        elif not self.begun:
            self._obey(signal.SIGTERM, Ending.GRACEFULLY)

    def interrupt(self) -> None:
        """Obey SIGINT: end at once."""
        self._obey(signal.SIGINT, Ending.AT_ONCE)

    def quit(self) -> None:
        """Obey SIGQUIT: end at once."""
        self._obey(signal.SIGQUIT, Ending.AT_ONCE)

    def _obey(self, number: signal.Signals, ending: Ending) -> None:
        if self.ending is Ending.AT_ONCE:
            for child in self._children:
                self._children.signal(child, signal.SIGKILL)
        elif self._generations.present is None:
            self.code = exit_code_after(number)
        elif ending is Ending.GRACEFULLY:
            _log.info(
                "%s: requests in flight have %g seconds to finish; a second signal stops at once",
                number.name,
                self._generations.present.chosen["graceful-timeout"],
            )
        else:
            _log.info("%s: stopping at once", number.name)
        self.end(ending)

    def fail(self, failure: Message) -> None:
        """End at once, because no process serves and none can be started."""
        self.failure = failure
        self.code = _FAILED
        self.end(Ending.AT_ONCE)

    def hand_over(self, successor: int) -> None:
        """End gracefully, because the supervisor with the process ID ``successor`` serves."""
        self.successor = successor
        self.end(Ending.GRACEFULLY)
        self._observers.stop()  # the successor has its own, at the same addresses

    def end(self, ending: Ending) -> None:
        """End all worker processes, then the observers."""
        self.ending = ending
        if self.successor is None:
            self._notifier.send(STOPPING=1, STATUS="stopping")
        self._stop_successor()
        self._generations.end(
            gracefully=ending is Ending.GRACEFULLY, succeeded=self.successor is not None
        )
        self._observers.end()

    def _stop_successor(self) -> None:
        """Stop a new supervisor that does not serve yet: the command as a whole is to end."""
        for child in self._children:
            if isinstance(child.task, Successor) and child.phase is not Phase.ENDING:
                self._children.end(child, {"order": "stop"})
