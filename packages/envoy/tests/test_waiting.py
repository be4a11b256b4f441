"""How long Envoy waits before it tries again."""

from envoy.process.waiting import farm_pause_seconds, pause_seconds


def test_many_envoys_do_not_ask_a_farm_that_is_back_at_the_same_moment() -> None:
    pauses = [farm_pause_seconds(4) for _ in range(100)]
    assert len(set(pauses)) > 50
    assert max(pauses) - min(pauses) > pause_seconds(4) / 4
    assert 0 < min(pauses) < pause_seconds(4) < max(pauses) < 2 * pause_seconds(4)
