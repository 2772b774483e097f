"""Files that the server itself serves."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import DIRECTORY_AT_PATH, FLAG, Text
from rocket_cli._settings.setting import Part, Setting, setting
from rocket_cli._settings.values import cache_control, index_name

STATIC_FILES: Final[tuple[Setting, ...]] = (
    setting(
        "static",
        DIRECTORY_AT_PATH,
        "Serve the files in DIR at /PATH, beside the application; without /PATH=, serve them and "
        "no application.",
        many=True,
        metavar="[/PATH=]DIR",
    ),
    setting(
        "static-index",
        Text(index_name),
        "Serve the file of this name for its directory.",
        part=Part.FILES,
        keyword="index",
        default="index.html",
        metavar="NAME",
        needs="static",
    ),
    setting(
        "static-cache-control",
        Text(cache_control),
        "Send Cache-Control with this value for every file.",
        part=Part.FILES,
        keyword="cache_control",
        default_words="not sent",
        metavar="VALUE",
        needs="static",
    ),
    setting(
        "static-precompressed",
        FLAG,
        "Send NAME.br or NAME.gz for NAME to clients that accept it.",
        part=Part.FILES,
        keyword="precompressed",
        default=False,
        needs="static",
    ),
    setting(
        "static-listing",
        FLAG,
        "List the contents of directories that have no index file.",
        part=Part.FILES,
        keyword="listing",
        default=False,
        needs="static",
    ),
    setting(
        "static-follow-links",
        FLAG,
        "Follow symbolic links that lead out of the directory.",
        part=Part.FILES,
        keyword="follow_links",
        default=False,
        needs="static",
    ),
)
