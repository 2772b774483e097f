"""Users and groups of the system, by name or by number."""

from __future__ import annotations

import grp
import pwd
from typing import NamedTuple


class User(NamedTuple):
    """A user of the system.

    Attributes:
        given: the name or number in the settings.
        uid: the user ID.
        gid: the ID of the primary group; None for a number that has no entry.
    """

    given: str
    uid: int
    gid: int | None

    def __str__(self) -> str:
        return self.given


class Group(NamedTuple):
    """A group of the system.

    Attributes:
        given: the name or number in the settings.
        gid: the group ID.
    """

    given: str
    gid: int

    def __str__(self) -> str:
        return self.given


def parse_user(text: str) -> User:
    """Read the name of a user, or a UID. Raises `ValueError` for an unknown name."""
    try:
        found = pwd.getpwuid(int(text)) if text.isdigit() else pwd.getpwnam(text)
    except KeyError:
        if text.isdigit():
            return User(text, int(text), None)
        raise ValueError(
            f"there is no user {text!r}: use a name in /etc/passwd, or a UID"
        ) from None
    return User(text, found.pw_uid, found.pw_gid)


def parse_group(text: str) -> Group:
    """Read the name of a group, or a GID. Raises `ValueError` for an unknown name."""
    if text.isdigit():
        return Group(text, int(text))
    try:
        return Group(text, grp.getgrnam(text).gr_gid)
    except KeyError:
        raise ValueError(
            f"there is no group {text!r}: use a name in /etc/group, or a GID"
        ) from None
