"""Turns come at an even rate, in the order in which they are asked for."""

import asyncio
import selectors

import pytest

from tenantry.core.pace import BEAT_SECONDS, Pace


class _Leaps(selectors.SelectSelector):
    """Waits for nothing: it is then as late as it would be, and a microsecond later at each turn."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += (timeout or 0.0) + 1e-6
        return super().select(0)


class _LeapingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time leaps from one thing that is to happen to the next."""

    def __init__(self) -> None:
        self._leaps = _Leaps()
        super().__init__(self._leaps)

    def time(self) -> float:
        return self._leaps.now

    def hold_up(self, seconds: float) -> None:
        """Do nothing else for a while."""
        self._leaps.now += seconds


@pytest.mark.parametrize("rate", [1, 10, 100, 1500])
def test_10_000_who_come_at_once_keep_to_the_rate_in_every_second(rate: int) -> None:
    async def take_all() -> list[tuple[float, int]]:
        turns = Pace(float(rate), 0.05)
        taken: list[tuple[float, int]] = []

        async def take(number: int) -> None:
            await turns.turn()
            taken.append((asyncio.get_running_loop().time(), number))

        await asyncio.gather(*(take(number) for number in range(10_000)))
        return taken

    with asyncio.Runner(loop_factory=_LeapingLoop) as runner:
        taken = runner.run(take_all())
    assert [number for _, number in taken] == list(range(10_000))
    times = [time for time, _ in taken]
    most = rate + max(1, rate // 20)
    assert all(late - early > 0.999 for early, late in zip(times, times[most:], strict=False))
    assert times[-1] == pytest.approx(10_000 / rate, rel=0.01)


def test_turns_within_a_beat_come_together_and_those_of_the_next_a_beat_later() -> None:
    async def take_all() -> list[float]:
        turns = Pace(4 / BEAT_SECONDS, 0.0)
        taken: list[float] = []

        async def take() -> None:
            await turns.turn()
            taken.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(take() for _ in range(400)))
        return taken

    with asyncio.Runner(loop_factory=_LeapingLoop) as runner:
        taken = runner.run(take_all())
    beats = [round(time / BEAT_SECONDS) for time in taken]
    assert all(taken[at] == pytest.approx(beat * BEAT_SECONDS, abs=5e-4) for at, beat in enumerate(beats))
    assert {beats.count(beat) for beat in beats[4:-4]} == {4}


def test_what_a_loop_that_was_held_up_has_missed_does_not_come_all_at_once() -> None:
    async def take_all() -> list[float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, _LeapingLoop)
        turns = Pace(100.0, 0.05)
        taken: list[float] = []

        async def take() -> None:
            await turns.turn()
            taken.append(loop.time())

        for moment in (1.0, 1.2, 3.0):
            loop.call_at(moment, loop.hold_up, 0.7)
        await asyncio.gather(*(take() for _ in range(1000)))
        return taken

    with asyncio.Runner(loop_factory=_LeapingLoop) as runner:
        taken = runner.run(take_all())
    assert taken == sorted(taken)
    assert all(late - early > 0.989 for early, late in zip(taken, taken[105:], strict=False))
    assert taken[-1] < 10 + 3 * 0.7


def test_a_turn_that_is_given_up_holds_up_nobody() -> None:
    async def take() -> float:
        turns = Pace(10.0, 0.0)
        await turns.turn()
        given_up = asyncio.ensure_future(turns.turn())
        await asyncio.sleep(0)
        given_up.cancel()
        await turns.turn()
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=_LeapingLoop) as runner:
        assert runner.run(take()) == pytest.approx(0.2, abs=0.01)
