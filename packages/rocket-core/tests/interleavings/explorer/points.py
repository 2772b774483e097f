"""The marked points in the code under test, which is not changed for that.

A point is before each instruction that uses marked data: an attribute, or a local variable that
stands for what it holds, by its name. So two threads are never switched between an instruction that
uses nothing which others use, and the next one, as that would make no difference.

Python 3.12 and later tell of single instructions by `sys.monitoring`, and Python 3.11 by
`sys.settrace`, which later versions do not carry out for the first call of a function.
"""

from __future__ import annotations

import dis
import inspect
import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import CodeType, FrameType, ModuleType


class Reach(Protocol):
    """What is called at each point; ``depth`` calls above it is the code under test."""

    def __call__(self, name: str, /, *, writes: bool, depth: int) -> None: ...


class Marks:
    """The points in the code of some modules: where it uses data of the given names.

    Attributes named in ``values`` hold something that cannot change, so that to load one is to read
    it. Everything named in ``shared`` can change (a list, a set); to load it is taken for a change.
    ``aliases`` are the local variables for the latter, and what each stands for.
    """

    def __init__(
        self,
        modules: Iterable[ModuleType],
        *,
        values: Iterable[str] = (),
        shared: Iterable[str] = (),
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.modules = list(modules)
        self._files = {module.__file__ for module in self.modules}
        self._values = frozenset(values)
        self._shared = frozenset(shared)
        self._aliases = dict(aliases or {})
        self._others: list[Marks] = []
        self._points: dict[int, dict[int, tuple[str, bool]]] = {}
        self._seen: list[CodeType] = []
        """What the numbers in ``_points`` stand for, so that none of them is used again."""

    def __or__(self, other: Marks) -> Marks:
        """Return the marks of both."""
        both = Marks([*self.modules, *other.modules])
        both._others = [self, other]
        return both

    def points(self, code: CodeType) -> dict[int, tuple[str, bool]]:
        """Return the marked instructions of ``code``: their offsets, names, and what may change."""
        try:
            return self._points[id(code)]  # a hash of the code itself would take longer
        except KeyError:
            found = self._find(code) if code.co_filename in self._files else {}
            for each in self._others:
                found |= each.points(code)
            self._points[id(code)] = found
            self._seen.append(code)
            return found

    def _find(self, code: CodeType) -> dict[int, tuple[str, bool]]:
        found: dict[int, tuple[str, bool]] = {}
        instructions = list(dis.get_instructions(code))
        for each, following in zip(instructions, [*instructions[1:], None], strict=True):
            kind, name = each.opname, each.argval
            if kind.startswith(("STORE_ATTR", "DELETE_ATTR")):
                if name in self._values:
                    found[each.offset] = name, True
            elif kind.startswith(("LOAD_ATTR", "LOAD_METHOD")):
                # Where it becomes an alias, nothing is used yet.
                aliased = following is not None and following.opname.startswith("STORE_FAST")
                if name in self._values:
                    found[each.offset] = name, False
                elif name in self._shared and not aliased:
                    found[each.offset] = name, True
            elif "LOAD_FAST" in kind:  # some interpreters have one instruction for two variables
                names = name if isinstance(name, tuple) else (name,)
                for variable in names[1:] if kind.startswith("STORE") else names:
                    if variable in self._aliases:
                        found[each.offset] = self._aliases[variable], True
        return found


def codes(module: ModuleType) -> Iterable[CodeType]:
    """Yield the code of the functions and methods that ``module`` defines."""
    for each in vars(module).values():
        for member in vars(each).values() if inspect.isclass(each) else (each,):
            function = member.fget if isinstance(member, property) else member
            if isinstance(function, staticmethod):
                function = function.__func__
            function = inspect.unwrap(function) if callable(function) else function
            # Where a class was imported from, its module does not tell: it may be a public one.
            if inspect.isfunction(function) and function.__code__.co_filename == module.__file__:
                yield function.__code__


if sys.version_info >= (3, 12):

    class Watch:
        """Calls ``reach`` at each point in the code of the marked modules."""

        def __init__(self, marks: Marks, reach: Reach) -> None:
            self._marks = marks
            self._reach = reach
            self._watched: set[CodeType] = set()
            self._tool = next(tool for tool in range(6) if sys.monitoring.get_tool(tool) is None)
            sys.monitoring.use_tool_id(self._tool, "interleavings")
            event = sys.monitoring.events.INSTRUCTION
            sys.monitoring.register_callback(self._tool, event, self._look)

        def prepare(self) -> None:
            """Watch the code that the modules have now."""
            for module in self._marks.modules:
                for code in codes(module):
                    if code not in self._watched and self._marks.points(code):
                        self._watched.add(code)
                        event = sys.monitoring.events.INSTRUCTION
                        sys.monitoring.set_local_events(self._tool, code, event)

        def run(self, body: Callable[[], object]) -> None:
            """Run ``body`` on the calling thread, with its points."""
            body()

        def close(self) -> None:
            """Watch nothing any more."""
            for code in self._watched:
                sys.monitoring.set_local_events(self._tool, code, 0)
            sys.monitoring.free_tool_id(self._tool)

        def _look(self, code: CodeType, offset: int) -> object:
            point = self._marks.points(code).get(offset)
            if point is None:
                return sys.monitoring.DISABLE
            self._reach(point[0], writes=point[1], depth=2)
            return None

else:

    class Watch:
        """Calls ``reach`` at each point in the code of the marked modules."""

        def __init__(self, marks: Marks, reach: Reach) -> None:
            self._marks = marks
            self._reach = reach

        def prepare(self) -> None:
            """Do nothing: each function is looked at when it is called."""

        def run(self, body: Callable[[], object]) -> None:
            """Run ``body`` on the calling thread, with its points."""
            sys.settrace(self._trace)
            try:
                body()
            finally:
                sys.settrace(None)

        def close(self) -> None:
            """Do nothing: what was run has ended."""

        def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
            del event, arg
            points = self._marks.points(frame.f_code)
            if not points:
                return None
            frame.f_trace_lines = False
            frame.f_trace_opcodes = True

            def look(frame: FrameType, event: str, arg: Any) -> Any:
                del arg
                point = points.get(frame.f_lasti) if event == "opcode" else None
                if point is not None:
                    self._reach(point[0], writes=point[1], depth=2)
                return look

            return look
