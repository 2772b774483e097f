"""The diagram of states in docs/architecture.md; run as a program, it writes the diagram there."""

from __future__ import annotations

from pathlib import Path

from rocket_core import State
from rocket_core._state import OWNERS, TRANSITIONS, Owner

PAGE = Path(__file__).parents[2] / "docs/architecture.md"
BEGIN = "<!-- states: made by tests/systemtests/state_diagram.py -->\n"
END = "<!-- end of states -->\n"

_BEGINNINGS = (State.HANDSHAKE, State.IDLE)
_ENDS = frozenset({State.SENDING, State.LINGER, State.CLOSED})


def diagram() -> str:
    """The states, their owners and their transitions, as Mermaid draws them.

    A sentence tells the transitions that most states have in common.
    """
    alike = [state for state in State if TRANSITIONS[state] >= _ENDS]
    lines = ["", "```mermaid", "stateDiagram-v2"]
    for state in State:
        owner = OWNERS[state]
        label = state.value if owner is Owner.NONE else f"{state.value} ({owner.value})"
        lines.append(f"    {state.value}: {label}")
    lines += [f"    [*] --> {state.value}" for state in _BEGINNINGS]
    for state in State:
        hidden = _ENDS if state in alike else frozenset()
        lines += [
            f"    {state.value} --> {target.value}"
            for target in State
            if target in TRANSITIONS[state] - hidden
        ]
    lines.append(f"    {State.CLOSED.value} --> [*]")
    *others, last = (f"`{each.value}`" for each in alike)
    *ends, end = (f"`{each.value}`" for each in State if each in _ENDS)
    lines += ["```", "", f"Not drawn: {', '.join(others)} and {last}"]
    lines.append(f"may also turn to {', '.join(ends)} or {end}.")
    return "\n".join([*lines, "", ""])


def written(text: str) -> str:
    """``text`` with the diagram between its marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + diagram() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
