"""
Where a batch's content comes from: public knowledge bases, ready to be added to a batch.

Each source is a module with a ``load()`` that reads it and returns a value, and that value adds
itself to any batch::

    from aiotcbatch import sources

    attack = await sources.attack.load()
    counts = attack.add_to(batch)
"""

from __future__ import annotations

from aiotcbatch.sources import attack
from aiotcbatch.sources.mapping import Counts, GroupSink, SourceAttribute, SourceGroup

__all__ = ["Counts", "GroupSink", "SourceAttribute", "SourceGroup", "attack"]

# Users import from here, so this is where tracebacks and documentation say that things are.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
