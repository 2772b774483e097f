"""The account at a CA that speaks ACME, in a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error as JOSEError
from josepy.jwk import JWK

from rocket_tls._files import replace_file
from rocket_tls._pem import key_to_pem


@dataclass(frozen=True, slots=True)
class Account:
    """An account, which is a key until the CA has registered it.

    Attributes:
        server: the URL of the CA's directory.
        key: the private key, in PEM form.
        email: the address that the CA knows.
        uri: the URL of the account; empty before it is registered.
    """

    server: str
    key: str
    email: str | None = None
    uri: str = ""

    def jwk(self) -> JWK:
        """Return the key as a JSON Web Key (RFC 7517). Raises an error if it is not valid."""
        return JWK.load(self.key.encode())


def open_account(path: Path, server: str) -> Account:
    """Return the account for ``server`` in a file, or create one there. Raises `OSError`."""
    try:
        account = Account(**json.loads(path.read_bytes()))
        if account.server == server:
            account.jwk()
            return account
    except (OSError, ValueError, TypeError, AttributeError, JOSEError):
        pass
    account = Account(server, key_to_pem(ec.generate_private_key(ec.SECP256R1())).decode("ascii"))
    store_account(path, account)
    return account


def store_account(path: Path, account: Account) -> None:
    """Replace what is in the file. Raises `OSError`."""
    replace_file(path, json.dumps(asdict(account), indent=1).encode(), mode=0o600)
