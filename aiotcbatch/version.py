"""The version of this library, which the package's metadata are made from."""

from __future__ import annotations

__all__ = ["VERSION"]

VERSION = "0.1.0"
