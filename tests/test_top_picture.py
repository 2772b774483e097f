"""The animated picture of ``rocket-cli top``, and how it is made."""

from __future__ import annotations

import os
import re
import sys
import time
from xml.etree import ElementTree as ET

from systemtests.processes import ROOT

sys.path.append(str(ROOT))

from bench.capture.animation import animation
from bench.capture.terminal import Terminal

_PICTURE = ROOT / "docs/pictures/top.svg"
_SVG = "{http://www.w3.org/2000/svg}"

_PROGRAM = r"""
import os, sys, tty
tty.setcbreak(0)
columns, lines = os.get_terminal_size()
print(f"{columns}x{lines}  \033[1;33mloud\033[0m \033[2mquiet\033[0m", flush=True)
sys.stdin.read(1)
print("╭─╮ █░▌", flush=True)
sys.stdin.read(1)
"""


def test_screens_of_a_program_become_a_picture() -> None:
    terminal = Terminal([sys.executable, "-c", _PROGRAM], 40, 3, os.environ)
    for shown, key in ((1, b"x"), (2, b"")):
        deadline = time.monotonic() + 30
        while len(terminal.pictures) < shown:
            assert time.monotonic() < deadline
            terminal.watch(0.05)
        if key:
            os.write(terminal._main, key)
    terminal.end(b"q")
    screens = [(1.0, picture) for _, picture in terminal.pictures]
    source = animation(screens, still=1, title="a & b", description="what")
    picture = ET.fromstring(source)
    first, *others = ["".join(each.itertext()) for each in picture.iter(f"{_SVG}text")]
    assert first == "40x3"  # of two words, as there are two spaces behind it
    assert others == ["loud", "quiet"]
    loud = next(each for each in picture.iter(f"{_SVG}text") if each.text == "loud")
    assert loud.attrib["font-weight"] == "700"
    quiet = next(each for each in picture.iter(f"{_SVG}text") if each.text == "quiet")
    assert quiet.attrib["fill"] != loud.attrib["fill"]
    window = picture.find(f"{_SVG}svg")
    assert window is not None
    assert len(list(window.iter(f"{_SVG}rect"))) == 3
    assert len(list(window.iter(f"{_SVG}path"))) == 1
    still, film = window.findall(f"{_SVG}g")
    assert len(list(still.iter(f"{_SVG}text"))) == 3  # the first line is the same on both screens
    assert not list(film.iter(f"{_SVG}text"))
    assert picture.findtext(f"{_SVG}title") == "a & b"
    reduced = "prefers-reduced-motion:reduce){.top .film{animation:none;transform:translateY(-54px)"
    assert reduced in source


def test_the_picture_of_the_site_shows_slow_clients_that_hold_no_thread() -> None:
    """Run `nox -s capture` to make it again."""
    picture = ET.parse(_PICTURE).getroot()
    words = {str(each.text) for each in picture.iter(f"{_SVG}text")}
    assert {"head", "4,000", "body", "500", "sending", "0 of 8 busy"} <= words
    description = picture.findtext(f"{_SVG}desc")
    assert description is not None
    assert "5,000 slow clients" in description
    found = re.search(r"half of them within ([\d.]+) ms", description)
    assert found is not None
    assert float(found[1]) < 10
