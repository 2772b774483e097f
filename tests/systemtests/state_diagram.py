"""The life of a connection as a picture, made from the table of states.

Run as a program, it writes ``docs/pictures/connection-life.svg``, and in ``docs/architecture.md``
the sentence on the transitions that the picture leaves out.

A group stands for several states: an arrow to or from the group is one to or from each of them. Two
arrows between the same states are one line with two heads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from rocket_core import State
from rocket_core._state import OWNERS, TRANSITIONS, Owner

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs/architecture.md"
PICTURE = _ROOT / "docs/pictures/connection-life.svg"
BEGIN = "<!-- states: made by tests/systemtests/state_diagram.py -->\n"
END = "<!-- end of states -->\n"

_BEGINNINGS: Final = (State.HANDSHAKE, State.IDLE)
_ENDS: Final = frozenset({State.SENDING, State.LINGER, State.CLOSED})
_SHOWN_END: Final = (State.ACTIVE.value, State.SENDING.value)
"""The one transition to an end that is drawn although most states have it."""
_ARRIVING: Final = (State.IDLE, State.HEAD, State.BODY)
_GROUP: Final = "arriving"
_BEGIN: Final = "begin"


@dataclass(frozen=True)
class _Box:
    """A rectangle by its centre, with what it says."""

    x: int
    y: int
    caption: str = ""
    width: int = 124
    height: int = 50


_BOXES: Final = {
    State.HANDSHAKE.value: _Box(92, 196, "PROXY, TLS"),
    State.IDLE.value: _Box(246, 196, "no byte yet"),
    State.HEAD.value: _Box(392, 196, "a part of the head"),
    State.BODY.value: _Box(538, 196, "a part of the body"),
    State.READY.value: _Box(708, 196, "request complete"),
    State.ACTIVE.value: _Box(880, 196, "application runs", 140),
    State.UPGRADED.value: _Box(902, 336, "own protocol", 104),
    State.SHARED.value: _Box(262, 336, "HTTP/2, websocket", 132),
    State.SENDING.value: _Box(500, 336, "client takes the rest", 140),
    State.LINGER.value: _Box(262, 484, "client closes"),
    State.CLOSED.value: _Box(708, 484, "socket closed"),
    _GROUP: _Box(392, 188, "", 444, 132),
    _BEGIN: _Box(92, 110, "", 16, 16),
}

_ROUTES: Final = {
    # From active over the top, and around what lies between.
    ("active", _GROUP): "M880,171 V94 H392 V122",
    ("active", "sending"): "M822,221 V336 H570",
    ("active", "shared"): "M836,221 V428 H288 V361",
    ("sending", "ready"): "M548,311 V286 H708 V221",
    ("sending", _GROUP): "M484,311 V254",
    ("idle", "body"): "M266,171 C300,136 484,136 518,171",
    ("idle", "shared"): "M240,221 V311",
    ("head", "shared"): "M372,221 L298,311",
    ("shared", "linger"): "M244,361 V459",
    ("shared", "closed"): "M316,361 L646,470",
    ("sending", "linger"): "M446,361 L300,459",
    ("sending", "closed"): "M540,361 L670,459",
    (_BEGIN, "idle"): "M100,110 C160,110 196,130 222,171",
}
"""The paths of arrows that are no straight line between neighbours."""

_ZONES: Final = (
    (Owner.MONITOR, 16, 608, 510, "waits for the client,", "no thread is held"),
    (Owner.QUEUE, 636, 144, 250, "waits for a", "free thread"),
    (Owner.WORKER, 792, 176, 360, "a thread runs", "the application"),
)
"""The regions of the owners: left edge, width, height and two lines of text."""

_TAG: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" class="life" viewBox="0 0 {width} {height}" '
    'role="img" aria-labelledby="life-title life-description">'
)
_MARKER: Final = (
    '<defs><marker id="life-head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
    'markerHeight="7" orient="auto-start-reverse"><path class="head" d="M0,0 L10,5 L0,10 z"/>'
    "</marker></defs>"
)
_STYLE: Final = """
.life { --ink: #1f2328; --soft: #57606a; --paper: #ffffff; --client: #e7f1fb; --wait: #fdf3d8;
  --thread: #fde7e0; --line: #57606a; font-family: system-ui, sans-serif; font-size: 14px; }
@media (prefers-color-scheme: dark) { .life { --ink: #e6edf3; --soft: #b3bcc6; --paper: #131416;
  --client: #14273a; --wait: #372c0d; --thread: #40201a; --line: #aab4be; } }
.life text { fill: var(--ink); text-anchor: middle; }
.life .small { fill: var(--soft); font-size: 12px; }
.life .note { text-anchor: start; }
.life .paper { fill: var(--paper); }
.life .monitor { fill: var(--client); }
.life .queue { fill: var(--wait); }
.life .worker { fill: var(--thread); }
.life .box { fill: var(--paper); stroke: var(--line); stroke-width: 1.5; }
.life .group { fill: none; stroke: var(--line); stroke-dasharray: 5 4; }
.life .name { font-weight: 600; }
.life .arrow { fill: none; stroke: var(--line); stroke-width: 1.5; }
.life .head { fill: var(--line); }
"""


def _alike() -> list[State]:
    """The states with the transitions that most have in common."""
    return [state for state in State if TRANSITIONS[state] >= _ENDS]


def _grouped(names: Iterable[str]) -> set[str]:
    """``names``, with the name of the group in the place of all of its members."""
    found = set(names)
    members = {each.value for each in _ARRIVING}
    return found - members | {_GROUP} if found >= members else found


def arrows() -> set[tuple[str, str]]:
    """All transitions that the picture shows, each as the names of two boxes."""
    alike = _alike()
    targets: dict[str, set[str]] = {_BEGIN: {each.value for each in _BEGINNINGS}}
    for state in State:
        hidden = _ENDS if state in alike else frozenset()
        names = {each.value for each in TRANSITIONS[state] - hidden}
        targets[state.value] = names if state in _ARRIVING else _grouped(names)
    begin, end = _SHOWN_END
    targets[begin] |= {end} & {each.value for each in TRANSITIONS[State.ACTIVE]}
    for target in _BOXES:
        sources = {name for name, found in targets.items() if target in found}
        if _GROUP in _grouped(sources) and target not in {each.value for each in _ARRIVING}:
            for member in _ARRIVING:
                targets[member.value] -= {target}
            targets.setdefault(_GROUP, set()).add(target)
    return {(source, target) for source, found in targets.items() for target in found}


def sentence() -> str:
    """A sentence on the transitions that are not drawn."""
    *others, last = (f"`{each.value}`" for each in _alike())
    *ends, end = (f"`{each.value}`" for each in State if each in _ENDS)
    return (
        f"Most arrows to the ends are not drawn:\n"
        f"{', '.join(others)} and {last}\n"
        f"may turn to {', '.join(ends)} or {end}."
    )


def _plain(text: str) -> str:
    return text.replace("`", "").replace("\n", " ")


def _description() -> str:
    """The whole table in words, for those readers who do not see the picture."""
    parts = []
    for state in State:
        names = [each.value for each in State if each in TRANSITIONS[state]]
        owner = OWNERS[state]
        held = "" if owner is Owner.NONE else f", owner {owner.value}"
        parts.append(f"{state.value}{held}: then {', '.join(names) or 'nothing'}.")
    return " ".join(parts)


def _straight(source: _Box, target: _Box) -> str:
    """A line between boxes that are beside or below each other."""
    if abs(source.y - target.y) < source.height:
        step = 1 if target.x > source.x else -1
        return (
            f"M{source.x + step * source.width // 2},{source.y} "
            f"H{target.x - step * target.width // 2}"
        )
    step = 1 if target.y > source.y else -1
    return (
        f"M{target.x},{source.y + step * source.height // 2} "
        f"V{target.y - step * target.height // 2}"
    )


def _lines() -> Iterator[str]:
    """The arrows. Two in opposite directions are one line."""
    found = arrows()
    for source, target in sorted(found):
        both = (target, source) in found
        if both and (target, source) in _ROUTES and (source, target) not in _ROUTES:
            continue  # drawn in the other direction
        if both and (source, target) not in _ROUTES and target < source:
            continue
        path = _ROUTES.get((source, target)) or _straight(_BOXES[source], _BOXES[target])
        tail = ' marker-start="url(#life-head)"' if both else ""
        yield f'<path class="arrow" d="{path}" marker-end="url(#life-head)"{tail}/>'


def _zones() -> Iterator[str]:
    for owner, x, width, height, *text in _ZONES:
        yield (
            f'<rect class="zone {owner.value}" x="{x}" y="16" width="{width}" '
            f'height="{height}" rx="10"/>'
        )
        name = {Owner.WORKER: "thread pool"}.get(owner, owner.value)
        middle = x + width // 2
        if owner is Owner.MONITOR:
            yield f'<text class="name" x="{middle}" y="42">{name}</text>'
            yield f'<text class="small" x="{middle}" y="62">{" ".join(text)}</text>'
            continue
        yield f'<text class="name" x="{middle}" y="42">{name}</text>'
        for line, y in zip(text, (62, 78), strict=True):
            yield f'<text class="small" x="{middle}" y="{y}">{line}</text>'


def _states() -> Iterator[str]:
    for name, box in _BOXES.items():
        left, top = box.x - box.width // 2, box.y - box.height // 2
        frame = f'x="{left}" y="{top}" width="{box.width}" height="{box.height}" rx="8"'
        if name == _BEGIN:
            yield f'<circle class="head" cx="{box.x}" cy="{box.y}" r="8"/>'
            yield f'<text class="small" x="{box.x}" y="{box.y - 16}">client connects</text>'
        elif name == _GROUP:
            yield f'<rect class="group" {frame}/>'
            yield f'<text class="small" x="538" y="{top + 122}">a request arrives</text>'
        else:
            yield f'<rect class="box" {frame}/>'
            yield f'<text class="name" x="{box.x}" y="{box.y - 3}">{name}</text>'
            yield f'<text class="small" x="{box.x}" y="{box.y + 15}">{escape(box.caption)}</text>'


def picture() -> str:
    """The picture, as SVG for pages with a light or a dark background."""
    title = "The life of a connection: its states and who owns it in each"
    width, height = 984, 572
    parts = [
        _TAG.format(width=width, height=height),
        f'<title id="life-title">{title}</title>',
        f'<desc id="life-description">{escape(_description())}</desc>',
        f"<style>{_STYLE}</style>",
        _MARKER,
        f'<rect class="paper" width="{width}" height="{height}"/>',
        *_zones(),
        *_lines(),
        *_states(),
        f'<text class="small note" x="16" y="556">{escape(_plain(sentence()))}</text>',
    ]
    return "\n".join([*parts, "</svg>", ""])


def written(text: str) -> str:
    """``text`` of the page with the picture and the sentence between its marks."""
    before, rest = text.split(BEGIN)
    image = "![The states of a connection and their transitions](pictures/connection-life.svg)"
    block = f"\n{image}\n\n{sentence()}\n\n"
    return before + BEGIN + block + END + rest.split(END)[1]


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
