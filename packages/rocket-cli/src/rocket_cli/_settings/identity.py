"""The user and the groups that the worker processes run as."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from typing import NamedTuple

from rocket_cli._errors import CommandError
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.users import Group, User


class Identity(NamedTuple):
    """The user and the groups of a process.

    Attributes:
        uid: the user ID.
        gid: the group ID.
        groups: the IDs of the supplementary groups.
    """

    uid: int
    gid: int
    groups: Sequence[int]


def identity(chosen: Chosen) -> Identity | None:
    """Return the identity that ``user`` and ``group`` choose; None if neither is set.

    Raises `CommandError` for a user without a group.
    """
    user: User | None = chosen["user"]
    group: Group | None = chosen["group"]
    if user is None and group is None:
        return None
    uid = os.geteuid() if user is None else user.uid
    gid = group.gid if group is not None else user.gid if user is not None else None
    if gid is None:
        raise CommandError(f"{chosen.origin('user')}: user {user} has no group: set --group, too")
    return Identity(uid, gid, _groups(uid, gid))


def assume_identity(chosen: Chosen) -> None:
    """Give this process the chosen user and group, and the supplementary groups of that user.

    Raises `CommandError` if this process may not do that.
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
            f"{chosen.origin(name)}: only root can change the user or the group"
        ) from error


def _groups(uid: int, gid: int) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return [gid]
