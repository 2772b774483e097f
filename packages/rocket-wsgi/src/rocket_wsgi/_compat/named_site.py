"""The site whose application finds a given name of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocket_wsgi._site import Site

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from rocket_core import Peer
    from rocket_wsgi._access_log.access_log import AccessLog
    from rocket_wsgi._types import Environ


class NamedSite(Site):
    """A site with a given ``SERVER_NAME``."""

    def __init__(self, application: WSGIApplication, name: str, log: AccessLog | None) -> None:
        """Serve ``application``, with ``name`` as ``SERVER_NAME``."""
        super().__init__(application, access_log=log)
        self._name = name

    def make_template(self, local: Peer, secure: bool) -> Environ:
        """Make the template of an environ, with the given ``SERVER_NAME``."""
        template = super().make_template(local, secure)
        template["SERVER_NAME"] = self._name
        return template
