"""The clock of a universe and how it is put forward, as values."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tenantry.lab.clock import MOST_STOPS, ClockWouldGoBack, TestClock, TooMuchFallsDue, pass_time

Step = tuple[str, int]

moves = st.lists(st.tuples(st.sampled_from(["freeze", "unfreeze", "move", "wait"]), st.integers(0, 10_000)))


@given(moves)
def test_a_clock_never_goes_back_whatever_is_done_with_it(steps: list[Step]) -> None:
    machine = [1_000_000]
    clock = TestClock(lambda: machine[0])
    shown = clock()
    for name, amount in steps:
        if name == "wait":
            machine[0] += amount
        elif name == "move":
            clock.move(clock() + amount)
        else:
            getattr(clock, name)()
        assert clock() >= shown
        shown = clock()


@given(moves)
def test_a_frozen_clock_shows_one_time_and_runs_on_from_there(steps: list[Step]) -> None:
    machine = [1_000_000]
    clock = TestClock(lambda: machine[0], 5_000_000, frozen=True)
    for _, amount in steps:
        machine[0] += amount
        assert clock() == 5_000_000
    clock.unfreeze()
    assert clock() == 5_000_000
    machine[0] += 7
    assert clock() == 5_000_007


def test_a_clock_refuses_to_go_back() -> None:
    clock = TestClock(lambda: 1_000, 2_000, frozen=True)
    try:
        clock.move(1_999)
    except ClockWouldGoBack:
        assert clock() == 2_000
    else:
        raise AssertionError


class Diary:
    """Things that fall due at given times, once each or every so often; it keeps when each was done."""

    def __init__(self, clock: TestClock, due: list[int], every: int = 0) -> None:
        self.clock = clock
        self.due = sorted(due)
        self.every = every
        self.done: list[tuple[int, int]] = []
        self.stops = 0
        self.caught_up_at: int | None = None

    async def settle(self) -> None:
        self.stops += 1
        while self.due and self.due[0] <= self.clock():
            first = self.due.pop(0)
            self.done.append((first, self.clock()))
            if self.every:
                self.due.append(self.clock() + self.every)

    async def next_due(self) -> int | None:
        return self.due[0] if self.due else None

    async def catch_up(self) -> None:
        self.caught_up_at = self.clock()


def clock_at_zero() -> TestClock:
    return TestClock(lambda: 0, 0, frozen=True)


@given(st.lists(st.integers(0, 1_000_000)), st.integers(0, 1_000_000))
async def test_what_falls_due_is_done_in_its_time_and_nothing_else(due: list[int], target: int) -> None:
    clock = clock_at_zero()
    diary = Diary(clock, due)
    await pass_time(clock, target, diary, lambda: False)
    assert clock() == target
    assert diary.done == [(each, each) for each in sorted(due) if each <= target]
    assert diary.caught_up_at == target


@settings(max_examples=20)
@given(st.integers(1, 50), st.integers(1, 10**10))
async def test_any_way_has_an_end_however_much_falls_due(every: int, target: int) -> None:
    clock = clock_at_zero()
    diary = Diary(clock, [0], every)
    await pass_time(clock, target, diary, lambda: False)
    assert clock() == target
    assert diary.stops <= 2 * MOST_STOPS + 3
    exact = [(due, at) for due, at in diary.done[:MOST_STOPS] if due != at]
    assert exact == []


async def test_who_is_late_stops_on_the_way() -> None:
    clock = clock_at_zero()
    diary = Diary(clock, [10, 20, 30])
    try:
        await pass_time(clock, 100, diary, lambda: clock() >= 20)
    except TooMuchFallsDue:
        assert clock() == 20
        assert diary.done == [(10, 10), (20, 20)]
        assert diary.caught_up_at is None
    else:
        raise AssertionError
