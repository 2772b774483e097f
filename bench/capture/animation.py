"""Screens of a terminal as one animated picture in SVG.

What changes is in one column of screens, which a style sheet moves behind a window of the size of
one. What is the same on all screens stands still. Lines that are alike are in the file once. A
reader whose system asks for less motion sees one of the screens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Final

from bench.capture.terminal import Cell, Picture

_CELL: Final = 8.4
_LINE: Final = 18
_GAP: Final = 2
_BAR: Final = _LINE - 2 * _GAP
"""The height of a full block. Bars of neighbouring lines do not touch."""
_MARGIN: Final = 14
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_PARTS: Final = " ▏▎▍▌▋▊▉"
_SHADE: Final = "░"
_DRAWN: Final = frozenset(_BLOCKS + _PARTS + _SHADE) - {" "}
_FRAMES: Final = {
    # Lines from the middle of a cell to the middles of its sides, as they meet in a corner.
    "─": "M{left},{middle}H{right}",
    "│": "M{centre},{top}V{bottom}",
    "╭": "M{centre},{bottom}Q{centre},{middle} {right},{middle}",
    "╮": "M{left},{middle}Q{centre},{middle} {centre},{bottom}",
    "╰": "M{centre},{top}Q{centre},{middle} {right},{middle}",
    "╯": "M{left},{middle}Q{centre},{middle} {centre},{top}",
}
_TAG: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" class="top" viewBox="{whole}" role="img" '
    'aria-labelledby="top-title top-description">'
)
_WINDOW: Final = (
    '<svg x="{margin}" y="{margin}" width="{width}" height="{height}" '
    'viewBox="0 0 {width} {height}" overflow="hidden">'
)
_WORDS: Final = re.compile(r"\S+(?: \S+)*")
"""Words with one space between them: a picture has no more than one beside another."""
_COLOURS: Final = {
    "default": "#d5dbe1",
    "red": "#ff8f80",
    "green": "#7fd48a",
    "brown": "#e8c65a",  # pyte's name of yellow
    "blue": "#7fb4ff",
    "magenta": "#e29be8",
    "cyan": "#67d4dc",
    "brightblack": "#59626c",
}
_FAINT: Final = "#9aa5b1"
_FRAME: Final = "#59626c"
_BACKGROUND: Final = "#16181b"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _colour(cell: Cell) -> str:
    if cell.faint:
        return _FAINT
    return _COLOURS.get(cell.colour, f"#{cell.colour}")


def _line(cells: Sequence[Cell]) -> str:
    """One line of a screen, with its top at 0."""
    column = 0
    parts: list[str] = []
    frame: list[str] = []
    for (kind, bold, colour), group in groupby(cells, _look):
        text = "".join(each.text for each in group)
        left, width = column * _CELL, len(text) * _CELL
        column += len(text)
        if kind == "frame":
            frame += [_frame(each, left + at * _CELL) for at, each in enumerate(text)]
        elif kind in _DRAWN:
            parts.append(_block(kind, left, width, colour))
        elif text.strip():
            parts += [
                _text(words[0], left + words.start() * _CELL, colour, bold=bold)
                for words in _WORDS.finditer(text)
            ]
    if frame:
        parts.append(f'<path d="{"".join(frame)}" fill="none" stroke="{_FRAME}"/>')
    return "".join(parts)


def _look(cell: Cell) -> tuple[str, bool, str]:
    """What neighbours must have in common to be drawn as one."""
    if cell.text in _FRAMES:
        return "frame", False, ""
    if cell.text in _DRAWN:
        return cell.text, False, _colour(cell)
    return "text", cell.bold, _colour(cell)


def _block(kind: str, left: float, width: float, colour: str) -> str:
    """A row of equal blocks, of which those of a part of a cell are single."""
    height = _BAR * _BLOCKS.index(kind) / 8 if kind in _BLOCKS else _BAR
    width = width * _PARTS.index(kind) / 8 if kind in _PARTS else width
    faint = ' opacity=".35"' if kind == _SHADE else ""
    return (
        f'<rect x="{_number(left)}" y="{_number(_LINE - _GAP - height)}" '
        f'width="{_number(width)}" height="{_number(height)}" fill="{colour}"{faint}/>'
    )


def _frame(character: str, left: float) -> str:
    return _FRAMES[character].format(
        left=_number(left),
        centre=_number(left + _CELL / 2),
        right=_number(left + _CELL),
        top=0,
        middle=_LINE // 2,
        bottom=_LINE,
    )


def _text(text: str, left: float, colour: str, *, bold: bool) -> str:
    length = _number(len(text) * _CELL)
    style = ' font-weight="700"' if bold else ""
    fill = "" if colour == _COLOURS["default"] else f' fill="{colour}"'
    return (
        f'<text x="{_number(left)}" y="13.5" textLength="{length}"{fill}{style}>'
        f"{escape(text, quote=False)}</text>"
    )


def _style(durations: Sequence[float], height: int, still: int) -> str:
    whole = sum(durations)
    steps = []
    shown = 0.0
    for index, duration in enumerate(durations):
        steps.append(f"{100 * shown / whole:.2f}%{{transform:translateY({-index * height}px)}}")
        shown += duration
    return (
        ".top{background:" + _BACKGROUND + ";border-radius:8px}"
        # What is used again inherits, but selectors do not see where it stands.
        ".top .still,.top .film{fill:" + _COLOURS["default"] + ";"
        "font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}"
        f".top .film{{animation:top-film {whole:.1f}s step-end infinite}}"
        "@keyframes top-film{" + "".join(steps) + "}"
        "@media (prefers-reduced-motion:reduce){.top .film{animation:none;"
        f"transform:translateY({-still * height}px)}}}}"
    )


def _divided(pictures: Sequence[Picture]) -> tuple[Picture, list[Picture]]:
    """What is the same on all screens, and what else is on each."""
    blank = Cell(" ", "default")
    first = pictures[0]
    alike = [
        [all(each[y][x] == cell for each in pictures) for x, cell in enumerate(line)]
        for y, line in enumerate(first)
    ]

    def chosen(picture: Picture, *, still: bool) -> Picture:
        return tuple(
            tuple(cell if alike[y][x] is still else blank for x, cell in enumerate(line))
            for y, line in enumerate(picture)
        )

    return chosen(first, still=True), [chosen(each, still=False) for each in pictures]


def _film(pictures: Iterable[Picture], height: int, name: str) -> Iterator[str]:
    """The screens below each other; each distinct line is defined where it is used first."""
    known: dict[str, str] = {}
    for index, picture in enumerate(pictures):
        for number, cells in enumerate(picture):
            source = _line(cells)
            if not source:
                continue
            y = index * height + number * _LINE
            if source in known:
                yield f'<use href="#{known[source]}" y="{y - int(known[source].split("-")[2])}"/>'
                continue
            known[source] = f"{name}-{len(known)}-{y}"
            yield f'<g id="{known[source]}" transform="translate(0 {y})">{source}</g>'


def animation(
    pictures: Sequence[tuple[float, Picture]], *, still: int, title: str, description: str
) -> str:
    """The picture.

    Args:
        pictures: the screens, each with the seconds for which it is shown.
        still: the number of the one for readers who want no motion.
        title: a name for the picture.
        description: what is to be seen, for those readers who do not see it.
    """
    lines, columns = len(pictures[0][1]), len(pictures[0][1][0])
    width, height = round(columns * _CELL), lines * _LINE
    whole = f"0 0 {width + 2 * _MARGIN} {height + 2 * _MARGIN}"
    durations = [seconds for seconds, _ in pictures]
    still_part, moving_parts = _divided([picture for _, picture in pictures])
    return "\n".join(
        [
            _TAG.format(whole=whole),
            f'<title id="top-title">{escape(title)}</title>',
            f'<desc id="top-description">{escape(description)}</desc>',
            f"<style>{_style(durations, height, still)}</style>",
            f'<rect width="100%" height="100%" rx="8" fill="{_BACKGROUND}"/>',
            _WINDOW.format(margin=_MARGIN, width=width, height=height),
            '<g class="still">',
            *_film([still_part], height, "still"),
            '</g><g class="film">',
            *_film(moving_parts, height, "film"),
            "</g></svg></svg>",
            "",
        ]
    )
