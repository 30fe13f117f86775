"""The order in which linked groups can be sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiotcbatch.collecting.ordering import dependencies_first

GRAPHS = st.integers(1, 12).flatmap(
    lambda size: st.dictionaries(
        st.integers(0, size - 1), st.lists(st.integers(0, size - 1), max_size=4)
    ).map(lambda links: (size, links))
)


def order(size: int, links: dict[int, list[int]]) -> list[list[int]]:
    """Order a graph of numbered nodes."""
    return list(dependencies_first(range(size), lambda node: links.get(node, ())))


@given(GRAPHS)
def test_every_node_comes_once(graph: tuple[int, dict[int, list[int]]]) -> None:
    """Whatever the links, each node is in exactly one set."""
    size, links = graph

    assert sorted(node for nodes in order(size, links) for node in nodes) == list(range(size))


@given(GRAPHS)
def test_no_set_points_to_a_later_one(graph: tuple[int, dict[int, list[int]]]) -> None:
    """What a node points to is in its own set or in an earlier one."""
    size, links = graph

    seen: set[int] = set()
    for nodes in order(size, links):
        seen.update(nodes)
        assert {target for node in nodes for target in links.get(node, ())} <= seen


@given(GRAPHS)
def test_a_set_is_a_circle(graph: tuple[int, dict[int, list[int]]]) -> None:
    """Nodes share a set only if each can be reached from each."""
    size, links = graph

    def reach(start: int) -> set[int]:
        found, todo = {start}, [start]
        while todo:
            for target in links.get(todo.pop(), ()):
                if target not in found:
                    found.add(target)
                    todo.append(target)
        return found

    for nodes in order(size, links):
        assert all(set(nodes) <= reach(node) for node in nodes)


def test_unlinked_nodes_keep_their_order() -> None:
    """Without links nothing moves."""
    assert order(4, {}) == [[0], [1], [2], [3]]


def test_a_chain_of_any_length_is_no_deeper_than_one() -> None:
    """A hundred thousand links do not exhaust the stack."""
    size = 100_000

    ordered = order(size, {node: [node + 1] for node in range(size - 1)})

    assert ordered[0] == [size - 1]
    assert ordered[-1] == [0]
