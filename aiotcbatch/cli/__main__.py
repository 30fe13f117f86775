"""So that ``python -m aiotcbatch.cli`` is the ``aiotcbatch`` command."""

from __future__ import annotations

from aiotcbatch.cli import main

if __name__ == "__main__":
    main()
