"""What the scenes of a job may use, as it follows from the machine and the operator's word."""

from dataclasses import replace

from farm.runner.limits.amounts import Limits, Machine, limits_of
from farm_protocol.runner import JobLimits

GIGABYTE = 2**30
WORKSTATION = Machine(memory_bytes=64 * GIGABYTE, processors=16, disk_bytes=1000 * GIGABYTE)


def test_what_the_operator_does_not_set_follows_from_the_machine() -> None:
    assert limits_of(JobLimits(), WORKSTATION) == Limits(
        memory_bytes=64 * GIGABYTE - 64 * GIGABYTE // 20,
        processes=4096,
        file_bytes=500 * GIGABYTE,
        disk_bytes=500 * GIGABYTE,
        files=1_000_000,
        frame_cpu_seconds=16 * 24 * 3600,
        reserve_bytes=GIGABYTE,
    )


def test_runners_share_a_machine() -> None:
    alone, shared = (limits_of(JobLimits(slots=slots), WORKSTATION) for slots in (1, 4))
    assert shared.memory_bytes == alone.memory_bytes // 4
    assert shared.disk_bytes == alone.disk_bytes // 4
    assert shared.frame_cpu_seconds == alone.frame_cpu_seconds / 4


def test_a_small_machine_has_memory_left_for_a_renderer() -> None:
    small = Machine(memory_bytes=GIGABYTE // 2, processors=1, disk_bytes=8 * GIGABYTE)
    found = limits_of(JobLimits(), small)
    assert found.memory_bytes == GIGABYTE // 4
    assert found.reserve_bytes < GIGABYTE // 4


def test_runners_have_room_beside_the_renderers_of_their_user() -> None:
    def hard(most: int | None, told: JobLimits) -> int:
        return limits_of(told, replace(WORKSTATION, processes=most)).hard_processes

    assert hard(None, JobLimits()) == hard(100_000, JobLimits()) == 5120
    assert hard(2000, JobLimits()) == 1000
    assert hard(2000, JobLimits(slots=4)) == 250
    assert hard(2000, JobLimits(processes=1_000_000)) == 1000
    assert hard(2000, JobLimits(processes=100)) == 125
