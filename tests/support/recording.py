"""A stand-in for a batch that keeps what it is given."""

from __future__ import annotations

from typing import Any

__all__ = ["RecordingBatch"]


class RecordingBatch:
    """Keeps the groups that it is given."""

    def __init__(self) -> None:
        self.groups: list[dict[str, Any]] = []

    def add_group(self, group_data: dict[str, Any], /) -> None:
        """Keep one."""
        self.groups.append(group_data)
