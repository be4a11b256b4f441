"""Pauses before something is tried again."""

import random
from itertools import pairwise

from farm_protocol.backoff import SPREAD, BackOff

PAUSES = BackOff(0.25, 15.0)


def test_pauses_double_up_to_the_longest() -> None:
    assert [PAUSES.after(n) for n in (1, 2, 3)] == [0.25, 0.5, 1.0]
    told = [PAUSES.after(n) for n in range(200)]
    assert all(before <= after for before, after in pairwise(told))
    assert told[-1] == PAUSES.after(10**9) == 15.0
    # Nobody has failed, or less often than never.
    assert PAUSES.after(0) == PAUSES.after(-5) == 0.25


def test_many_who_wait_for_one_come_at_different_times() -> None:
    chance = random.Random(1)
    told = [PAUSES.spread(3, chance.random()) for _ in range(1000)]
    least, most = 1.0 - SPREAD, 1.0 + SPREAD
    assert least <= min(told) < least + 0.02
    assert most - 0.02 < max(told) <= most
    assert abs(sum(told) / len(told) - PAUSES.after(3)) < 0.05
