"""What nobody accounts for is attributed by system time. Pure, but for what is read of /proc."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from farm.runner.limits.attribution import LEAST_SHARE, Attribution, Share
from farm.runner.limits.backstop import unexplained_bytes
from hypothesis import given
from hypothesis import strategies as st

amounts = st.integers(0, 2**40)
shares = st.floats(0, 1)


def attributed(before: int, *looks: tuple[int, float]) -> int:
    found = Attribution(before)
    return [found.update(amount, share) for amount, share in looks][-1]


def test_who_works_alone_is_attributed_all_of_the_growth_and_released_by_what_it_returns() -> None:
    assert attributed(1000, (5000, 1.0)) == 4000
    assert attributed(1000, (5000, 1.0), (3000, 1.0)) == 2000
    assert attributed(1000, (5000, 1.0), (500, 1.0), (600, 1.0)) == 100


def test_what_was_there_before_is_nobodys() -> None:
    assert attributed(5000, (5000, 1.0)) == attributed(5000, (3000, 1.0)) == 0


def test_an_innocent_neighbour_is_attributed_less_than_who_grows_and_loses_it_at_its_end() -> None:
    looks = [(amount * 1000, 0.7) for amount in range(2, 10)]
    guilty = attributed(1000, *looks)
    neighbour = Attribution(1000)
    for amount, _ in looks:
        innocent = neighbour.update(amount, 0.3)
    assert 0 < innocent < guilty / 2
    # The guilty one is ended: whoever gave it back, nobody may have more than the machine has.
    assert neighbour.update(1000, 0.0) == 0
    # With little system time, as when rendering, there is nothing from the start.
    assert attributed(1000, *((amount, LEAST_SHARE - 0.01) for amount, _ in looks)) == 0


def test_two_that_take_turns_at_growing_and_returning_do_not_free_each_other() -> None:
    kept = Attribution(0)
    assert kept.update(1000, 1.0) == 1000
    for _ in range(5):
        assert kept.update(2000, 0.0) == 1000
        assert kept.update(1000, 0.0) == 1000


@given(before=amounts, looks=st.lists(st.tuples(amounts, shares), min_size=1))
def test_nobody_is_attributed_more_than_the_machine_has_gained(
    before: int, looks: Sequence[tuple[int, float]]
) -> None:
    found, least = Attribution(before), before
    for amount, share in looks:
        least = min(least, amount)
        assert 0 <= found.update(amount, share) <= amount - least


@given(before=amounts, looks=st.lists(st.tuples(amounts, shares), min_size=1))
def test_several_together_are_attributed_no_more_than_all_growth(
    before: int, looks: Sequence[tuple[int, float]]
) -> None:
    ours, theirs, grown, last = Attribution(before), Attribution(before), 0, before
    for amount, share in looks:
        grown, last = grown + max(0, amount - last), amount
        total = ours.update(amount, share) + theirs.update(amount, 1 - share)
        # Numbers of this size are rounded by a little.
        assert total <= grown + 1 + grown * 1e-9


@given(
    looks=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1),
)
def test_a_share_is_between_nothing_and_all(looks: Sequence[tuple[float, float]]) -> None:
    share = Share(0.0)
    assert all(0 <= share.update(*look) <= 1 for look in looks)


def test_a_share_is_that_of_the_time_since_the_last_look() -> None:
    share = Share(100.0)
    assert share.update(102.0, 1.0) == 0.5
    assert share.update(103.0, 2.0) == 1.0
    assert share.update(104.0, 2.0) == 0.0
    assert share.update(104.0, 2.0) == 0.0


MEMORY = """\
MemTotal:       1000000 kB
MemFree:         100000 kB
Buffers:          10000 kB
Cached:          200000 kB
AnonPages:       300000 kB
SReclaimable:     20000 kB
PageTables:        5000 kB
HugePages_Total:      7
"""
EXPLAINED = {
    "vmstat": ("nr_free_pages 25000\nnr_zspages 1000\n", 4_096_000),
    "zoneinfo": (
        "  pagesets\n    cpu: 0\n              count: 600\n              high: 9\n",
        2_457_600,
    ),
    "net/sockstat": ("TCP: inuse 1 orphan 0 tw 0 alloc 9 mem 10\nUDP: inuse 0 mem 5\n", 61_440),
    "spl/kstat/zfs/arcstats": ("c_max 4 9999\nsize                            4    4096\n", 4096),
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")
def test_memory_with_an_explanation_is_not_unexplained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.runner.limits.backstop._PROC", tmp_path)
    monkeypatch.setattr("farm.runner.limits.backstop._PAGE", 4096)
    assert unexplained_bytes() == 0  # Nobody tells anything.
    (tmp_path / "meminfo").write_text(MEMORY)
    expected = 365_000 * 1024
    assert unexplained_bytes() == expected
    for name, (text, explained) in EXPLAINED.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        expected -= explained
        assert unexplained_bytes() == expected, name
