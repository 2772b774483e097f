"""What is allowed in the settings, and probably not meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from rocket_cli._serving.certificates import has_certificate
from rocket_cli._serving.listeners import tls_listeners
from rocket_cli._serving.spool import spool_doubt
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.environment import near_misses
from rocket_core import Listener


def doubts(
    chosen: Chosen, listeners: Sequence[Listener], environ: Mapping[str, str]
) -> Iterator[str]:
    """Yield a sentence for each doubt; ``listeners`` are those of the settings."""
    yield from near_misses(environ)
    certificate = has_certificate(chosen)
    secure = [each for each in chosen["bind"] if each.secure(certificate=certificate)]
    if certificate and not secure:
        name = next(each for each in ("tls-cert", "tls-dir", "acme") if chosen[each])
        yield (
            f"{chosen.origin(name)} has no effect, since no address uses HTTPS: remove http:// "
            f"from {chosen.origin('bind')}"
        )
    if chosen["hsts"] is not None and not secure and chosen["trusted-proxies"] is None:
        yield (
            f"{chosen.origin('hsts')} has no effect, since no address uses HTTPS, and no proxy is "
            "trusted to tell that its clients do: set --tls-cert or --trusted-proxies"
        )
    yield from _expired(listeners)
    if doubt := spool_doubt(chosen):
        yield doubt


def _expired(listeners: Sequence[Listener]) -> Iterator[str]:
    now = datetime.now(UTC)
    for listener in tls_listeners(listeners)[:1]:  # they share the certificates
        for chain in listener.certificates.chains:
            if now >= chain.expires:
                yield f"{chain.source} expired on {chain.expires:%Y-%m-%d}: renew it"
