"""What spares a server that fails, without a server."""

from __future__ import annotations

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aiotcbatch.transport.restraint import Circuit, RetryBudget

FAILURES = 3
FIRST = 2.0
MOST = 16.0


class BudgetMachine(RuleBasedStateMachine):
    """Requests and repeats in any order; quarters add up exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = RetryBudget(5, 0.25)
        #: The requests and repeats, in their order.
        self.course: list[str] = []

    @rule()
    def request(self) -> None:
        """Send something for the first time."""
        self.budget.earn()
        self.course.append("request")

    @rule()
    def repeat(self) -> None:
        """Send something again, if that is allowed; it is, unless the budget is used up."""
        allowed = self.budget.left >= 1

        assert self.budget.spend() is allowed
        if allowed:
            self.course.append("repeat")

    @rule(count=st.integers(1, 20))
    def requests(self, count: int) -> None:
        """Send many things for the first time."""
        for _ in range(count):
            self.request()

    @invariant()
    def never_too_many(self) -> None:
        """Of any requests in a row no more are repeated than the reserve and their fraction."""
        requests = repeats = 0
        for what in reversed(self.course):
            requests += what == "request"
            repeats += what == "repeat"
            assert repeats <= 5 + 0.25 * requests

    @invariant()
    def counts(self) -> None:
        """What was sent is counted."""
        assert self.budget.requests == self.course.count("request")
        assert self.budget.spent == self.course.count("repeat")
        assert 0 <= self.budget.left <= 5


class CircuitMachine(RuleBasedStateMachine):
    """Requests that are sent when they may be, and end in any order and way, or never."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit(FAILURES, FIRST, MOST)
        self.now = 100.0
        self.under_way: list[int] = []
        #: The probe, if there is one, and requests that were sent in this pause.
        self.probe: int | None = None
        self.in_a_row = 0
        self.pauses: list[float] = []

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0, 40.0]))
    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @precondition(lambda self: self.circuit.wait(self.now) == 0)
    @rule()
    def begin(self) -> None:
        """Send a request."""
        if not self.circuit.closed:
            assert self.probe is None
        number = self.circuit.begin()
        if not self.circuit.closed:
            self.probe = number
        self.under_way.append(number)

    def _end(self, data: st.DataObject) -> int:
        number = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(number)
        return number

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        """Be answered: everything is sent again, whoever was answered."""
        self._end(data)
        was_closed = self.circuit.closed

        assert self.circuit.succeeded() is not was_closed
        assert self.circuit.wait(self.now) == 0
        self.in_a_row, self.pauses, self.probe = 0, [], None

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), asked=st.sampled_from([0.0, 0.0, 50.0]))
    def fail(self, data: st.DataObject, asked: float) -> None:
        """Fail: a pause begins if there were enough, or if it was the probe."""
        number = self._end(data)
        was_closed = self.circuit.closed
        self.in_a_row += 1
        opens = self.in_a_row >= FAILURES if was_closed else number == self.probe

        assert self.circuit.failed(number, self.now, asked) is opens
        if opens:
            self.pauses.append(min(FIRST * 2 ** len(self.pauses), MOST))
            self.probe = None
            assert self.circuit.wait(self.now) == max(self.pauses[-1], asked)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Be cancelled: if it was the probe, another one may take its place at once."""
        number = self._end(data)
        was_probe = number == self.probe

        assert self.circuit.left(number) is was_probe
        if was_probe:
            self.probe = None
            assert self.circuit.wait(self.now) == 0

    @invariant()
    def says_how_it_is(self) -> None:
        """Nothing is sent in a pause or beside the probe, and everything otherwise."""
        wait = self.circuit.wait(self.now)
        assert self.circuit.failures == self.in_a_row
        assert self.circuit.closed is (not self.pauses)
        if self.probe is not None:
            assert (self.circuit.state, wait) == ("probing", math.inf)
        elif self.pauses:
            assert self.circuit.state == "open"
            assert wait == max(0.0, self.circuit.until - self.now)
        else:
            assert (self.circuit.state, wait) == ("closed", 0.0)


TestBudget = BudgetMachine.TestCase
TestCircuit = CircuitMachine.TestCase


def test_a_budget_without_reserve_has_what_requests_earn() -> None:
    """A repeat is there as soon as requests have earned it, and not before."""
    budget = RetryBudget(0, 0.5)
    allowed = [budget.spend()]
    for _ in range(3):
        budget.earn()
        allowed.append(budget.spend())

    assert allowed == [False, False, True, False]


def test_a_circuit_of_no_failures_never_opens() -> None:
    """It can be switched off."""
    circuit = Circuit(0, FIRST, MOST)
    opened = [circuit.failed(circuit.begin(), 0.0) for _ in range(1000)]

    assert not any(opened)
    assert circuit.wait(0.0) == 0


@pytest.mark.parametrize(("first", "most"), [(2.0, 16.0), (5.0, 1.0)])
def test_pauses_grow_to_a_limit(first: float, most: float) -> None:
    """Each pause is twice as long as the one before, up to the longest."""
    circuit = Circuit(1, first, most)
    pauses = []
    for _ in range(6):
        circuit.failed(circuit.begin(), 0.0)
        pauses.append(circuit.wait(0.0))
        circuit.until = 0.0

    assert pauses == [min(first * 2**n, most) for n in range(6)]
