"""Benchmarks of aiotcbatch: ``python -m benchmarks`` runs them and writes what they found."""

__all__ = ["NAMES"]

#: All of them, in their order; each is a module with ``run()``.
NAMES = (
    "build",
    "memory",
    "end_to_end",
    "scaling",
    "stall",
    "files",
    "imports",
    "journal",
    "sandbox",
    "soak",
)
