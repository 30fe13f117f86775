"""Links that wait for groups, and the groups that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiotcbatch.collecting import held

if TYPE_CHECKING:
    import pytest


def test_many_groups_are_known_in_a_compact_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many have come, few of them are held as fast as the first ones."""
    monkeypatch.setattr(held, "_MANY_GROUPS", 300)
    links = held.HeldLinks(lambda _: False, lambda _: None, lambda _, __: None, lambda _: None)
    xids = [f"group-{number}" for number in range(2_000)]
    for xid in xids:
        links.came(xid)

    assert all(map(links.knows, xids))
    assert not links.knows("group-2000")
    assert links._known.entries < 400  # a shard may be empty when it is its turn
