"""The supervisor's answers to admin questions about itself, and to orders that it carries out."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from rocket_cli._logging.server_log import set_log_level
from rocket_cli._processes.channel import Message
from rocket_cli._settings.threads import parse_threads
from rocket_cli._supervisor.children import Children
from rocket_cli._supervisor.generations import Generations
from rocket_cli._supervisor.inquiries import Own, Respond
from rocket_cli._supervisor.replacement import Replacement
from rocket_cli._supervisor.shutdown import Ending, Shutdown


class AdminHandlers:
    """Answers admin questions about the supervisor, and carries out orders that only it can."""

    def __init__(
        self,
        children: Children,
        generations: Generations,
        replacement: Replacement,
        shutdown: Shutdown,
    ) -> None:
        self._children = children
        self._generations = generations
        self._replacement = replacement
        self._shutdown = shutdown
        self._started = time.time()

    @property
    def by_name(self) -> Mapping[str, Own]:
        """The functions that answer these questions, by the name of the question."""
        return {
            "processes": self._processes,
            "reload": self._reload,
            "drain": self._drain,
            "resize-processes": self._resize_processes,
        }

    def note(self, name: str, arguments: Message) -> None:
        """Apply to future processes what the present ones are told by this question."""
        if name == "log-level":
            set_log_level(arguments["level"])
            self._generations.change("log-level", arguments["level"])
        elif name == "resize-threads":
            self._generations.change("threads", parse_threads(arguments["threads"]))

    def _processes(self, arguments: Message, respond: Respond) -> None:
        del arguments
        respond(
            {
                "supervisor": os.getpid(),
                "started": self._started,
                "restarts": self._generations.replaced,
                "failed_starts": self._generations.failed_starts,
                "failed_reloads": self._replacement.failed,
                "wanted": self._generations.wanted,
                "processes": self._children.describe(),
            }
        )

    def _reload(self, arguments: Message, respond: Respond) -> None:
        del arguments
        self._replacement.request(respond)

    def _drain(self, arguments: Message, respond: Respond) -> None:
        del arguments
        respond({})
        self._shutdown.end(Ending.GRACEFULLY)

    def _resize_processes(self, arguments: Message, respond: Respond) -> None:
        self._generations.resize(arguments["processes"])
        respond({})
