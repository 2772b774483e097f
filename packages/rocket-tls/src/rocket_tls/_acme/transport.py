"""Signed requests to a CA that speaks ACME, and its refusals (RFC 8555, section 6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import requests
from acme.client import ClientNetwork
from josepy.errors import Error as JOSEError
from josepy.interfaces import JSONDeSerializable
from josepy.jwa import ES256
from josepy.jwk import JWK

from acme import errors, messages
from rocket_tls._acme.settings import ACMESettings
from rocket_tls._errors import ACMEError
from rocket_tls._version import __version__

_TIMEOUT: Final = 30
"""Seconds in which the CA must answer each request."""

_NONCES: Final = 5
"""Attempts while the CA rejects nonces that it gave itself (RFC 8555, section 6.5)."""

_LONGEST_TEXT: Final = 500
"""Characters of a text of the CA that a message repeats."""


class RefusedError(ACMEError):
    """The CA refused a request, and said why.

    Attributes:
        kind: the last part of the problem's type, such as ``rateLimited`` (RFC 8555, section 6.7).
    """

    def __init__(
        self, host: str, problem: Mapping[str, Any] | None, pause: timedelta | None
    ) -> None:
        super().__init__(f"{host} refused the request: {explain(problem)}", pause)
        self.kind = str((problem or {}).get("type", "")).rpartition(":")[2]


class _Message(JSONDeSerializable):
    """A JSON object to sign."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content

    def to_partial_json(self) -> Any:
        return self._content

    @classmethod
    def from_json(cls, jobj: Any) -> _Message:
        return cls(jobj)


class Transport:
    """A session with one CA, used by one thread.

    Attributes:
        directory: the URLs of the CA's resources (RFC 8555, section 7.1.1).

    The methods raise `ACMEError`.
    """

    def __init__(self, settings: ACMESettings, key: JWK) -> None:
        self._host = settings.host
        trusted = True if settings.server_ca is None else str(settings.server_ca)
        self._net = ClientNetwork(
            key,
            alg=ES256,
            verify_ssl=cast("bool", trusted),  # requests takes a file of CAs, too
            user_agent=f"rocket-tls/{__version__}",
            timeout=_TIMEOUT,
        )
        self._net.session.hooks["response"].append(self._note_pause)
        self._pause: timedelta | None = None
        self.directory: dict[str, Any] = self.get(settings.server).json()

    def close(self) -> None:
        """End the session."""
        self._net.session.close()

    def use_account(self, uri: str | None) -> None:
        """Sign for the account at ``uri`` from now on; for the key alone if it is None."""
        self._net.account = (
            None
            if uri is None
            else messages.RegistrationResource(body=messages.Registration(), uri=uri)
        )

    def get(self, url: str) -> requests.Response:
        """Fetch a public JSON document."""
        with self._explained():
            return self._net.get(url)

    def post(self, url: str, content: Mapping[str, Any] | None = None) -> requests.Response:
        """Post a signed object; None fetches what is there, signed (POST-as-GET, section 6.3)."""
        message = None if content is None else _Message(content)
        with self._explained():
            for attempt in range(_NONCES):
                try:
                    return self._net.post(url, message, new_nonce_url=self.directory["newNonce"])
                except messages.Error as error:
                    if error.code != "badNonce" or attempt == _NONCES - 1:
                        raise
        raise AssertionError

    def _note_pause(self, response: requests.Response, *_: object, **__: object) -> None:
        self._pause = retry_after(response) if response.status_code >= 400 else None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except messages.Error as error:
            raise RefusedError(self._host, error.to_partial_json(), self._pause) from error
        except errors.ConflictError as error:
            problem = {"detail": "it conflicts with what the CA has already"}
            raise RefusedError(self._host, problem, self._pause) from error
        except requests.RequestException as error:
            raise ACMEError(f"{self._host} cannot be reached ({_cause(error)})") from error
        except (errors.Error, JOSEError, KeyError, TypeError, ValueError) as error:
            # Older versions of acme raise ValueError when they cannot connect.
            if isinstance(error.__context__, requests.RequestException):
                reason = _cause(error.__context__)
                raise ACMEError(f"{self._host} cannot be reached ({reason})") from error
            raise ACMEError(
                f"{self._host} sent a response that is not valid in ACME ({_one_line(error)})",
                self._pause,
            ) from error


def retry_after(response: requests.Response) -> timedelta | None:
    """Return the time in the field Retry-After, if any (RFC 9110, section 10.2.3)."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return timedelta(seconds=min(int(value), 10**9))
    try:
        return parsedate_to_datetime(value) - datetime.now(UTC)
    except (ValueError, TypeError):
        return None


def explain(problem: Mapping[str, Any] | None) -> str:
    """Return the text of a problem document (RFC 7807) in one line."""
    problem = problem or {}
    parts = [problem, *problem.get("subproblems", ())]
    return "; ".join(
        _one_line(each.get("detail") or each.get("title") or each.get("type") or "no reason given")
        for each in parts
    )


def _one_line(text: object) -> str:
    printable = "".join(c if c.isprintable() else " " for c in str(text))
    return " ".join(printable.split())[:_LONGEST_TEXT]


def _cause(error: BaseException) -> str:
    """Return the text of the innermost cause, which tells an operator what to do."""
    inner: object = error
    while isinstance(inner, BaseException):
        error = inner
        inner = getattr(error, "reason", None) or next(
            (each for each in error.args if isinstance(each, BaseException)), None
        )
    return _one_line(error)
