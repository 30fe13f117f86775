"""Sphinx: how the documentation is built."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

import aiotcbatch
import aiotcbatch.sandbox
import aiotcbatch.sources
from aiotcbatch.version import VERSION

project = "aiotcbatch"
author = "the authors of aiotcbatch"
project_copyright = author
release = VERSION

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "aiotcbatch"

# `Name` in a docstring is a reference, and must lead somewhere.
default_role = "py:obj"
nitpicky = True
# Annotations name types of other projects, and aliases of ours which have no page here.
nitpick_ignore_regex = [("py:class", ".*")]
# The sandbox and the sources both count: Sphinx asks which Counts an annotation means.
suppress_warnings = ["ref.python"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3


def _quote(*event: Any) -> None:
    """In the help of commands `name` is code, not a reference."""
    lines: list[str] = event[-1]
    lines[:] = [re.sub(r"(?<!`)`(?!`)", "``", line) for line in lines]


def _tell_where_things_are() -> None:
    """
    Let classes name the module that defines them, where Sphinx looks for their comments.

    To users they name the package from which they are imported.
    """
    for public in (aiotcbatch, aiotcbatch.sandbox, aiotcbatch.sources):
        for found in pkgutil.walk_packages(public.__path__, f"{public.__name__}."):
            module = importlib.import_module(found.name) if "__main__" not in found.name else None
            for name in getattr(module, "__all__", ()):
                thing = getattr(module, name)
                if getattr(thing, "__module__", None) == public.__name__:
                    thing.__module__ = found.name


def _resolve_public(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Let the names of the package lead to their places, from whichever module they are said."""
    kind, target = node.get("reftype"), node.get("reftarget", "")
    module, _, name = target.rpartition(".")
    packages = ("aiotcbatch.sandbox", "aiotcbatch.sources", "aiotcbatch")
    if kind == "class":  # an annotation names the module that defines it
        package = next((known for known in packages if module.startswith(f"{known}.")), None)
        wanted = [f"{package}.{name}"] if package else []
    else:
        wanted = [f"{package}.{target}" for package in reversed(packages)]
    for full in wanted:
        place = (env, node["refdoc"], app.builder, kind, full, node, content)
        found = full != target and env.get_domain("py").resolve_xref(*place)
        if found:
            return found
    return None


def setup(app: Any) -> None:
    """Connect what the extensions ask for."""
    _tell_where_things_are()
    app.connect("missing-reference", _resolve_public)
    app.connect("sphinx-click-process-description", _quote)
    app.connect("sphinx-click-process-options", _quote)
