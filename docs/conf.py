"""Sphinx: how the documentation is built."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

project = "aiotcbatch"
author = "the authors of aiotcbatch"
project_copyright = author
try:
    release = metadata.version("aiotcbatch")
except metadata.PackageNotFoundError:  # from a source tree
    release = "0"

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
# Annotations name types of other projects and aliases of ours, which have no page here.
nitpick_ignore_regex = [("py:class", r"(?!aiotcbatch\.).*")]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3


def _quote(*event: Any) -> None:
    """In the help of commands `name` is code, not a reference."""
    lines: list[str] = event[-1]
    lines[:] = [re.sub(r"(?<!`)`(?!`)", "``", line) for line in lines]


def setup(app: Any) -> None:
    """Connect what the extensions ask for."""
    app.connect("sphinx-click-process-description", _quote)
    app.connect("sphinx-click-process-options", _quote)
