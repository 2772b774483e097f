"""As whom the processes that serve run."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rocket_cli._errors import CommandError

if TYPE_CHECKING:
    from rocket_cli._commands.settings_command import Chosen


class User(NamedTuple):
    """A user: the name or number that was given, the numbers of the user and the main group."""

    given: str
    uid: int
    gid: int | None

    def __str__(self) -> str:
        return self.given


class Group(NamedTuple):
    """A group: the name or number that was given, and its number."""

    given: str
    gid: int

    def __str__(self) -> str:
        return self.given


def parse_user(text: str) -> User:
    """Read a user's name, or a number. Raises `ValueError`."""
    try:
        found = pwd.getpwuid(int(text)) if text.isdigit() else pwd.getpwnam(text)
    except KeyError:
        if text.isdigit():
            return User(text, int(text), None)
        raise ValueError(
            f"there is no user {text!r}: use a name of /etc/passwd, or a number"
        ) from None
    return User(text, found.pw_uid, found.pw_gid)


def parse_group(text: str) -> Group:
    """Read a group's name, or a number. Raises `ValueError`."""
    if text.isdigit():
        return Group(text, int(text))
    try:
        return Group(text, grp.getgrnam(text).gr_gid)
    except KeyError:
        raise ValueError(
            f"there is no group {text!r}: use a name of /etc/group, or a number"
        ) from None


class Identity(NamedTuple):
    """What a process runs as.

    Attributes:
        uid: the user.
        gid: the group.
        groups: the supplementary groups.
    """

    uid: int
    gid: int
    groups: Sequence[int]


def identity(chosen: Chosen) -> Identity | None:
    """The user and the group that are chosen; None: neither is. Raises `CommandError`."""
    user: User | None = chosen["user"]
    group: Group | None = chosen["group"]
    if user is None and group is None:
        return None
    uid = os.geteuid() if user is None else user.uid
    gid = group.gid if group is not None else user.gid if user is not None else None
    if gid is None:
        raise CommandError(f"{chosen.origin('user')}: user {user} has no group: give --group, too")
    return Identity(uid, gid, _groups(uid, gid))


def assume_identity(chosen: Chosen) -> None:
    """Become the user and the group that are chosen, with the supplementary groups of that user.

    Raises `CommandError`.
    """
    wanted = identity(chosen)
    if wanted is None:
        return
    if (os.geteuid(), os.getegid()) == (wanted.uid, wanted.gid) and wanted.uid != 0:
        return
    try:
        os.setgroups(wanted.groups)
        os.setgid(wanted.gid)
        os.setuid(wanted.uid)
    except PermissionError as error:
        name = "user" if chosen["user"] is not None else "group"
        raise CommandError(
            f"{chosen.origin(name)}: only root can become another user or group"
        ) from error


def _groups(uid: int, gid: int) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return [gid]
