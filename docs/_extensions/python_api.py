"""The reference of the Python API, as the public modules show their names.

Public modules export names that private modules define. So this extension finds the docstring of a
constant where it is defined, leaves out bases that are private and shows their attributes with the
class, and resolves references: names of any package without its module, names of the standard
library, and names of the packages that have no entry, which are plain text. A reference to a name
that does not exist at all stays a warning.
"""

from __future__ import annotations

import ast
import collections.abc
import datetime
import importlib
import inspect
import pathlib
import re
import sys
import threading
import types
import typing
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

from docutils import nodes
from sphinx.addnodes import desc_content, desc_signature, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms import SphinxTransform

_PACKAGES = ("rocket_core", "rocket_wsgi", "rocket_tls", "rocket_cli")
_LIBRARY = "https://docs.python.org/3/library"
_PAGES = {"wsgiref.types": "wsgiref", "concurrent.futures._base": "concurrent.futures"}
"""Modules of the standard library that are described on the page of another one."""

_ATTRIBUTE = re.compile(r" {4}(\w+): *(.*)")
_COMMON = (typing, collections.abc, pathlib, types, datetime, threading)
"""Modules of the standard library whose names may come without them in annotations."""
_VALUES = frozenset({"attribute", "data", "property"})
_SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)
_PARAMETERS = re.compile(r"\s*<dl>\n(.*?)</dl>\s*", re.DOTALL)
_DEFAULTS = (
    (re.compile(r"<(\w+\.\w+): [^<>]*>"), r"\1"),  # a member of an enumeration
    (re.compile(r"<function [^<>]*<lambda>>|<factory>"), "..."),
    (re.compile(r"= ([A-Z]\w*)\(\w+=[^()]*\)"), r"= \1()"),  # all settings at their defaults
)
_origins: dict[str, str] = {}
"""The modules that define exported names."""
_plain: dict[str, list[str]] = {}
"""Docstrings of values that napoleon is about to read."""


def find_origins(app: Sphinx) -> None:
    """Learn where exported names are defined, and let autodoc find the docstrings of constants."""
    for module in app.config.public_modules:
        names = importlib.import_module(module).__dict__.get("__all__", ())
        analyzer = ModuleAnalyzer.for_module(module)
        docs = analyzer.find_attr_docs()
        for node in ast.walk(ast.parse(analyzer.code)):
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in _PACKAGES:
                origin = ModuleAnalyzer.for_module(str(node.module))
                exported = {each.name for each in node.names if each.name in names}
                found = origin.find_attr_docs()
                docs.update({key: found[key] for key in found if not key[0] and key[1] in exported})
                _origins.update({f"{module}.{name}": origin.modname for name in exported})


def _private_bases(cls: type) -> list[type]:
    """The bases of a class that the packages do not export, the nearest first."""
    return [each for each in cls.__mro__[1:] if _is_private(each)]


def _is_private(cls: type) -> bool:
    package, _, rest = cls.__module__.partition(".")
    return package in _PACKAGES and (rest.startswith("_") or cls.__name__.startswith("_"))


def _section(lines: list[str]) -> slice:
    """Where the section ``Attributes`` of a docstring is, with its title."""
    if "Attributes:" not in lines:
        return slice(len(lines), len(lines))
    begin = lines.index("Attributes:")
    others = (at for at in range(begin + 1, len(lines)) if lines[at] and lines[at][0] != " ")
    return slice(begin, next(others, len(lines)))


def _attributes(cls: type, origin: str, docstring: list[str]) -> dict[str, list[str]]:
    """Entries for the attributes that a section describes, except for properties."""
    section = docstring[_section(docstring)][1:]
    if not section:
        return {}
    analyzer = ModuleAnalyzer.for_module(origin)
    analyzer.analyze()
    entries: dict[str, list[str]] = {}
    entry: list[str] = []
    for line in filter(None, section):
        if match := _ATTRIBUTE.match(line):
            name = match[1]
            found = analyzer.annotations.get((cls.__name__, name))
            kind = [f"   :type: {found}"] if found else []
            entry = entries[name] = ["", f".. attribute:: {name}", *kind, "", f"   {match[2]}"]
        else:
            entry.append(f"   {line.strip()}")
    return entries


def complete_docstring(
    _app: Sphinx, what: str, name: str, obj: Any, _options: Any, lines: list[str]
) -> None:
    """Add to a class its constructor, its attributes, and the attributes of its private bases."""
    if what in _VALUES:
        _plain[name] = list(lines)
    elif isinstance(obj, type):
        entries: dict[str, list[str]] = {}
        for base in reversed(_private_bases(obj)):
            docstring = inspect.cleandoc(base.__dict__.get("__doc__") or "").splitlines()
            entries |= _attributes(base, base.__module__, docstring)
        entries |= _attributes(obj, _origins.get(name, obj.__module__), lines)
        lines[_section(lines)] = []
        if isinstance(constructor := vars(obj).get("__init__"), FunctionType):
            lines += ["", *inspect.cleandoc(constructor.__doc__ or "").splitlines(), ""]
        for attribute in sorted(entries):
            if not isinstance(inspect.getattr_static(obj, attribute, None), property):
                lines += entries[attribute]


def shorten_defaults(
    _app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, arguments: str, result: str
) -> tuple[str, str] | None:
    """Write defaults that are objects as a reader would."""
    if not arguments:
        return None
    for pattern, short in _DEFAULTS:
        arguments = pattern.sub(short, arguments)
    return arguments, result


def restore_docstring(
    _app: Sphinx, what: str, name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """Take the docstring of a value as it is: napoleon looks for a type before its first colon."""
    if what in _VALUES:
        lines[:] = _plain.pop(name)


def skip_member(
    _app: Sphinx, _what: str, _name: str, obj: Any, _skip: bool, _options: Any
) -> bool | None:
    """Leave out what Python says of fields without a docstring."""
    return str(getattr(obj, "__doc__", "")).startswith("Alias for field number") or None


def leave_out_private_bases(
    _app: Sphinx, _name: str, _obj: Any, _options: Any, bases: list[Any]
) -> None:
    """Show only bases that have an entry, or are those of another project."""
    public = [each for each in bases if not (isinstance(each, type) and _is_private(each))]
    bases[:] = public or [object]


def leave_out_object(_app: Sphinx, _domain: str, _kind: str, content: nodes.Element) -> None:
    """Say nothing of bases where there is none but `object`."""
    if content.children and content[0].astext() == "Bases: object":
        content.pop(0)


@cache
def _names() -> frozenset[str]:
    """All names that the sources of the packages define."""
    names: set[str] = set()
    for package in _PACKAGES:
        folder = Path(str(sys.modules[package].__file__)).parent
        for file in folder.rglob("*.py"):
            names.update(_defined(ast.parse(file.read_bytes())))
    return frozenset(names)


def _defined(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.add(name)
    return names


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.Element | None:
    """Resolve a reference that Sphinx has not resolved; None: it stays a warning."""
    if node.get("refdomain") != "py":
        return None
    target = str(node["reftarget"])
    package, _, rest = target.partition(".")
    if entry := _entry(env, target, str(node.get("py:module"))):
        page, anchor = entry
        address = app.builder.get_relative_uri(str(node["refdoc"]), page)
        return nodes.reference("", "", text, refuri=f"{address}#{anchor}", internal=True)
    if library := next((each for each in _COMMON if target in each.__all__), None):
        return _library_reference(f"{library.__name__}.{target}", text)
    if package in sys.stdlib_module_names:
        return _library_reference(target, text)
    if package in _PACKAGES and "._" not in f".{rest}":
        return None
    return text if target.rpartition(".")[2] in _names() else None


def _library_reference(target: str, text: nodes.TextElement) -> nodes.Element:
    module = _library_module(target)
    page = _PAGES.get(module, module)
    anchor = target.replace("._base", "") if "." in target else f"module-{target}"
    address = f"{_LIBRARY}/{page}.html#{anchor}"
    return nodes.reference("", "", text, refuri=address, internal=False)


def _library_module(target: str) -> str:
    """The module of a name in the standard library."""
    parts = target.split(".")
    prefixes = [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]
    return next((each for each in prefixes if each in sys.modules), parts[0])


def _entry(env: BuildEnvironment, target: str, module: str) -> tuple[str, str] | None:
    """The page and the anchor of a name, preferably of the module or package of the reference."""
    objects = env.domains.python_domain.objects
    found = [name for name in objects if name.endswith(f".{target}")]
    for place in (module, module.partition(".")[0], ""):
        near = [name for name in found if name.startswith(place)]
        if len(near) == 1:
            entry = objects[near[0]]
            return entry.docname, entry.node_id
    return None


class ContentsWithoutMembers(SphinxTransform):
    """Leaves members of classes out of the contents of a page, which have hundreds of them."""

    default_priority = 800

    def apply(self, **_: Any) -> None:
        """Take the names for the contents from signatures within other entries."""
        for signature in self.document.findall(desc_signature):
            if isinstance(signature.parent.parent, desc_content):
                signature["_toc_name"] = ""


def simplify_signatures(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: Any
) -> None:
    """Make parameters in lines of their own plain elements, and leave out those without effect.

    Sphinx makes them items of a list in the term of another list, which HTML does not allow. A page
    of the reference has some thousand elements less.
    """
    if "sig-object" in context.get("body", ""):
        context["body"] = _SIGNATURE.sub(_simplified, context["body"])


def _simplified(signature: re.Match[str]) -> str:
    text = _PARAMETERS.sub(r'<span class="parameters">\1</span>', signature[0])
    text = text.replace("<dd>", '<span class="parameter">').replace("</dd>", "</span>")
    return re.sub(r'<span class="pre">([^<]*)</span>', r"\1", text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the events of autodoc."""
    app.add_config_value("public_modules", [], "env", list)
    app.add_transform(ContentsWithoutMembers)
    app.connect("builder-inited", find_origins)
    app.connect("object-description-transform", leave_out_object)
    app.connect("autodoc-process-docstring", complete_docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", restore_docstring, priority=600)
    app.connect("autodoc-process-signature", shorten_defaults)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-bases", leave_out_private_bases)
    app.connect("missing-reference", resolve)
    app.connect("html-page-context", simplify_signatures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
