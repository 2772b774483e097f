r"""Rules of HTTP's grammar that several header fields share (RFC 9110, section 5.6).

Each constant is the text of a regular expression, to be put into longer ones. Text that a client
sends has one character per byte (latin-1).
"""

from __future__ import annotations

import re
from typing import Final

TCHAR: Final = r"!#$%&'*+\-.^_`|~0-9A-Za-z"
"""The characters of a token, to be put between square brackets (section 5.6.2)."""

TOKEN: Final = f"[{TCHAR}]+"
"""A token (section 5.6.2)."""

QUOTED: Final = r"(?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"
"""The text between the quotes of a quoted string (section 5.6.4).

No text matches its parts in two ways, so a match takes linear time.
"""

WHOLE_TOKEN: Final = re.compile(rf"{TOKEN}\Z")
"""Matches a text that is a token and nothing else."""
