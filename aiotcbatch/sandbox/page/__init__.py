"""A page to look at a sandbox with: read-only, without scripts of others, for a browser nearby."""

from aiotcbatch.sandbox.page.handlers import Page

__all__ = ["Page"]
