"""What the scenes of a job may use, as it follows from the machine and the operator's word."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from farm.runner.limits.amounts import Limits, Machine, limits_of
from farm.runner.limits.usage import this_machine
from farm.runner.limits.watch import Confinement, Watch
from farm.runner.workplace import Workplace
from farm_protocol.runner import JobLimits
from messages import saying, says

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


def test_renderers_share_the_files_that_a_disk_has_room_for() -> None:
    small = replace(WORKSTATION, disk_files=120_000)
    found = [limits_of(JobLimits(slots=slots), small) for slots in (1, 4)]
    assert [each.files for each in found] == [60_000, 15_000]
    assert found[0].reserve_files == 2400
    assert limits_of(JobLimits(files=90_000), small).files == 90_000
    assert limits_of(JobLimits(), replace(WORKSTATION, disk_files=10**9)).files == 1_000_000


def test_runners_have_room_beside_the_renderers_of_their_user() -> None:
    def hard(most: int | None, told: JobLimits) -> int:
        return limits_of(told, replace(WORKSTATION, processes=most)).hard_processes

    assert hard(None, JobLimits()) == hard(100_000, JobLimits()) == 5120
    assert hard(2000, JobLimits()) == 1000
    assert hard(2000, JobLimits(slots=4)) == 250
    assert hard(2000, JobLimits(processes=1_000_000)) == 1000
    assert hard(2000, JobLimits(processes=100)) == 125


@pytest.mark.parametrize(
    ("reserve", "message"),
    [
        (2**62, saying("render-machines-disk-only-left", "4294967296.0 GB")),
        (0, ""),
    ],
)
def test_a_renderer_leaves_room_on_the_disk(
    tmp_path: Path, reserve: int, message: str | saying
) -> None:
    limits = limits_of(JobLimits(), this_machine(tmp_path))
    place = Workplace.create(tmp_path, "job1")
    confinement = Confinement(replace(limits, reserve_bytes=reserve), tmp_path / "renderer.pid")
    watch = Watch(confinement, place, 1)
    assert watch.look() is None  # Nothing runs yet.
    (tmp_path / "renderer.pid").write_text(str(os.getpid()))
    failure = watch.look()
    assert (failure.message if failure else "") == message
    assert failure is None or not failure.permanent
    assert (failure is None) is (message == "")


def test_a_renderer_leaves_room_for_other_files(tmp_path: Path) -> None:
    machine = this_machine(tmp_path)
    if machine.disk_files is None:
        pytest.skip("this disk has room for any number")
    limits = replace(limits_of(JobLimits(), machine), reserve_files=machine.disk_files + 1)
    place = Workplace.create(tmp_path, "job1")
    watch = Watch(Confinement(limits, tmp_path / "renderer.pid"), place, 1)
    (tmp_path / "renderer.pid").write_text(str(os.getpid()))
    failure = watch.look()
    assert failure is not None
    assert says(failure.message, "render-machine-disk-few-files")
    assert not failure.permanent
