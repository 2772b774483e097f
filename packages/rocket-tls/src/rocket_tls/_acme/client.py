"""Orders and renewals at a CA that speaks ACME (RFC 8555)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from acme import messages
from rocket_tls._acme.account import open_account, store_account
from rocket_tls._acme.challenges import Challenges
from rocket_tls._acme.progress import ASK_AGAIN
from rocket_tls._acme.settings import ACMESettings, Challenge
from rocket_tls._acme.signing import (
    base64url,
    certificate_id,
    identifier,
    make_request,
    make_validation,
    validation_name,
)
from rocket_tls._acme.transport import RefusedError, Transport, explain, retry_after
from rocket_tls._errors import ACMEError
from rocket_tls._pem import key_to_pem

_PATIENCE: Final = 180.0
"""Seconds in which the CA must validate, or issue."""

_PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0)
"""Seconds between looks at an order or an authorization, unless the CA says."""

_SOONEST: Final = timedelta(minutes=1)
_LATEST: Final = timedelta(days=1)
"""The bounds of the pause before a suggestion for the renewal is fetched again (RFC 9773, section
4.3)."""

_ADVICE: Final = {
    Challenge.HTTP_01: "port 80 of {} must lead to this server",
    Challenge.TLS_ALPN_01: "port 443 of {} must lead to this server, which must end TLS itself",
}

_NOT_ABOUT_THE_ORDER: Final = {"accountDoesNotExist", "rateLimited", "serverInternal"}
"""Refusals of an order that have nothing to do with what it replaces."""


class Suggestion(NamedTuple):
    """The window in which a CA wants a certificate to be renewed (RFC 9773).

    Attributes:
        start: the beginning of the window.
        end: its end.
        pause: the time until the CA is to be asked again.
    """

    start: datetime
    end: datetime
    pause: timedelta


class ACMEClient:
    """A client of one CA, used by one thread.

    Its methods raise `ACMEError`, and `OSError` when the file of the account cannot be written.
    """

    def __init__(
        self, settings: ACMESettings, account: Path, pause: Callable[[float], None]
    ) -> None:
        """Open the account in the file ``account``, and fetch the CA's directory.

        ``pause`` is called with the seconds to wait; it may raise an exception to give up.
        """
        self._settings = settings
        self._path = account
        self._pause = pause
        self._account = open_account(account, settings.server)
        self._key = self._account.jwk()
        with _protocol_errors(settings.host):
            self._transport = Transport(settings, self._key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    # -- account -------------------------------------------------------------------------------

    def _sign_in(self) -> None:
        account = self._account
        if not account.uri:
            self._register()
            return
        self._transport.use_account(account.uri)
        if account.email != self._settings.email:
            self._transport.post(account.uri, {"contact": self._contact})
            self._account = replace(account, email=self._settings.email)
            store_account(self._path, self._account)

    def _register(self) -> None:
        """Find or create the account of the key (RFC 8555, section 7.3)."""
        url = self._transport.directory["newAccount"]
        message: dict[str, Any] = {"termsOfServiceAgreed": True, "contact": self._contact}
        if self._settings.external_account is not None:
            message["externalAccountBinding"] = messages.ExternalAccountBinding.from_data(
                self._key.public_key(),
                *self._settings.external_account,
                messages.Directory(self._transport.directory),
            )
        self._transport.use_account(None)
        uri = self._transport.post(url, message).headers["Location"]
        self._transport.use_account(uri)
        self._account = replace(self._account, uri=uri, email=self._settings.email)
        store_account(self._path, self._account)

    @property
    def _contact(self) -> list[str]:
        email = self._settings.email
        return [] if email is None else [f"mailto:{email}"]

    # -- certificates --------------------------------------------------------------------------

    def suggestion(self, certificate: x509.Certificate) -> Suggestion | None:
        """Return when to renew ``certificate`` (RFC 9773); None if the CA does not say."""
        base = self._transport.directory.get("renewalInfo")
        certificate_name = certificate_id(certificate)
        if base is None or certificate_name is None:
            return None
        with _protocol_errors(self._settings.host):
            response = self._transport.get(f"{base}/{certificate_name}")
            window = response.json()["suggestedWindow"]
            start, end = (datetime.fromisoformat(window[each]) for each in ("start", "end"))
            if start >= end:
                raise ValueError("the suggested window ends before it begins")
            pause = retry_after(response) or ASK_AGAIN
            pause = min(max(pause, _SOONEST), _LATEST)
            return Suggestion(start.astimezone(UTC), end.astimezone(UTC), pause)

    def issue(self, challenges: Challenges, replaced: x509.Certificate | None) -> bytes:
        """Return a new certificate with its chain and its key, in PEM form.

        The answers to the CA's challenges are put into ``challenges``. ``replaced`` is the
        certificate that the new one replaces, if any.
        """
        with _protocol_errors(self._settings.host):
            self._sign_in()
            try:
                order, uri = self._order(replaced)
            except RefusedError as error:
                if error.kind != "accountDoesNotExist":
                    raise
                self._register()
                order, uri = self._order(replaced)
            self._validate(order["authorizations"], challenges)
            return self._finalize(uri)

    def _order(self, replaced: x509.Certificate | None) -> tuple[dict[str, Any], str]:
        order: dict[str, Any] = {"identifiers": [identifier(each) for each in self._settings.names]}
        if replaced is not None and "renewalInfo" in self._transport.directory:
            order["replaces"] = certificate_id(replaced)
        url = self._transport.directory["newOrder"]
        try:
            response = self._transport.post(url, order)
        except RefusedError as error:
            # The certificate to replace may be of another account, or was replaced already.
            if "replaces" not in order or error.kind in _NOT_ABOUT_THE_ORDER:
                raise
            del order["replaces"]
            response = self._transport.post(url, order)
        return response.json(), response.headers["Location"]

    def _validate(self, urls: list[str], challenges: Challenges) -> None:
        """Let the CA verify the control of each name (RFC 8555, section 7.5)."""
        pending = {}
        for url in urls:
            authorization = self._transport.post(url).json()
            if authorization["status"] == "pending":
                pending[url] = self._prepare(authorization, challenges)
        for challenge in pending.values():
            self._transport.post(challenge, {})
        for url in pending:
            authorization = self._settled(url, {"pending"})
            if authorization["status"] != "valid":
                raise self._not_validated(authorization)

    def _prepare(self, authorization: dict[str, Any], challenges: Challenges) -> str:
        """Put the answer to the challenge for one name in place; return the challenge's URL."""
        name, kind = authorization["identifier"]["value"], self._settings.challenge
        offered = {each["type"]: each for each in authorization["challenges"]}
        challenge = offered.get(kind.value)
        if challenge is None:
            raise ACMEError(
                f"{self._settings.host} offers no {kind.value} for {name}; it offers "
                f"{', '.join(sorted(offered)) or 'nothing'}"
            )
        thumbprint = base64url(self._key.thumbprint(hash_function=SHA256))
        key_authorization = f"{challenge['token']}.{thumbprint}"
        if kind is Challenge.HTTP_01:
            challenges.put_token(challenge["token"], key_authorization)
        else:
            validation = make_validation(name, key_authorization)
            challenges.put_certificate(validation_name(name), validation)
        return str(challenge["url"])

    def _not_validated(self, authorization: dict[str, Any]) -> ACMEError:
        name = authorization["identifier"]["value"]
        problems = [each["error"] for each in authorization["challenges"] if each.get("error")]
        reason = "; ".join(map(explain, problems)) or f"it is {authorization['status']}"
        advice = _ADVICE[self._settings.challenge].format(name)
        return ACMEError(f"{self._settings.host} could not validate {name} ({reason}); {advice}")

    def _finalize(self, uri: str) -> bytes:
        """Have the certificate issued, and fetch it (RFC 8555, section 7.4)."""
        key = ec.generate_private_key(ec.SECP256R1())
        order = self._settled(uri, {"pending", "processing"})
        if order["status"] == "ready":
            request = base64url(make_request(key, self._settings.names))
            self._transport.post(order["finalize"], {"csr": request})
            order = self._settled(uri, {"ready", "processing"})
        if order["status"] != "valid":
            raise ACMEError(
                f"{self._settings.host} does not issue the certificate "
                f"({explain(order.get('error'))})"
            )
        issued = self._transport.post(order["certificate"]).text
        return issued.strip().encode("ascii") + b"\n" + key_to_pem(key)

    def _settled(self, url: str, unsettled: set[str]) -> dict[str, Any]:
        """Return the object at ``url`` as soon as its status is none of ``unsettled``."""
        until = time.monotonic() + _PATIENCE
        for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
            response = self._transport.post(url)
            found: dict[str, Any] = response.json()
            if found["status"] not in unsettled:
                return found
            wanted = retry_after(response)
            if time.monotonic() >= until:
                raise ACMEError(f"{self._settings.host} did not decide within {_PATIENCE:.0f} s")
            self._pause(pause if wanted is None else min(wanted.total_seconds(), _PATIENCE))
        raise AssertionError


@contextmanager
def _protocol_errors(host: str) -> Iterator[None]:
    """Turn the errors of parsing what the CA sent into `ACMEError`."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ACMEError(f"{host} sent a response that is not valid in ACME ({error!r})") from error
