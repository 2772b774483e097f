"""The animated picture of ``rocket-cli top``, and how it is made."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import defaultdict
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


def _screens(picture: ET.Element) -> list[str]:
    """The words of each screen of a picture, by lines."""
    window = picture.find(f"{_SVG}svg")
    assert window is not None
    still, film = window.findall(f"{_SVG}g")
    height = float(window.attrib["height"])
    found: dict[int, dict[tuple[float, int], str]] = defaultdict(dict)
    for layer in (still, film):
        lines = {each.attrib["id"]: each for each in layer.findall(f"{_SVG}g")}
        for each in layer:
            line = lines[each.get("id") or each.attrib["href"].removeprefix("#")]
            y = float(line.attrib["transform"].split()[1].rstrip(")")) + float(each.get("y", 0))
            screen = -1 if layer is still else int(y // height)
            for text in line.iter(f"{_SVG}text"):
                column = round(float(text.attrib["x"]) / 8.4)
                for at, character in enumerate(str(text.text), column):
                    found[screen][y % height, at] = character
    fixed = found.pop(-1)
    return [_words(fixed | each) for each in found.values()]


def _words(cells: dict[tuple[float, int], str]) -> str:
    """The text of a screen, with one space where there are any."""
    rows = sorted({y for y, _ in cells})
    text = "\n".join("".join(cells.get((y, x), " ") for x in range(112)) for y in rows)
    return " ".join(text.split())


def test_the_picture_of_the_site_shows_slow_clients_that_hold_no_thread() -> None:
    """Run `nox -s capture` to make it again."""
    picture = ET.parse(_PICTURE).getroot()
    full = [each for each in _screens(picture) if "head 4,000" in each]
    assert full
    assert any("body 500" in each and "sending 500" in each for each in full)
    assert any("threads 0 of 8 busy" in each for each in full)
    description = picture.findtext(f"{_SVG}desc")
    assert description is not None
    assert "5,000 slow clients" in description
    found = re.search(r"half of them within ([\d.]+) ms", description)
    assert found is not None
    assert float(found[1]) < 10
