"""The order in which linked groups can be sent: what is pointed to goes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["dependencies_first"]


def dependencies_first(
    nodes: Iterable[int], targets: Callable[[int], Iterable[int]]
) -> Iterator[list[int]]:
    """
    Give the nodes in sets, each after all the sets that it points to.

    A set holds nodes that point to each other in a circle, most often a single node. Nodes
    that are not linked keep the order in which they come. This is Tarjan's algorithm without
    recursion, so a chain of a million links is no deeper than one.

    Args:
        nodes: The nodes, each once.
        targets: Called with a node, gives those that it points to; they must be nodes too.

    Yields:
        Lists of nodes; within a list in the order of their coming.
    """
    seen: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    on_path: set[int] = set()
    for root in nodes:
        if root in seen:
            continue
        work = [(root, iter(targets(root)))]
        seen[root] = low[root] = len(seen)
        path.append(root)
        on_path.add(root)
        while work:
            node, rest = work[-1]
            for target in rest:
                if target not in seen:
                    seen[target] = low[target] = len(seen)
                    path.append(target)
                    on_path.add(target)
                    work.append((target, iter(targets(target))))
                    break
                if target in on_path:
                    low[node] = min(low[node], seen[target])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == seen[node]:
                    circle = _pop_through(path, node)
                    on_path.difference_update(circle)
                    yield sorted(circle)


def _pop_through(path: list[int], node: int) -> list[int]:
    at = len(path) - 1
    while path[at] != node:
        at -= 1
    circle = path[at:]
    del path[at:]
    return circle
