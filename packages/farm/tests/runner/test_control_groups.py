"""What a renderer with a control group may have that the kernel charges to no group.

The group is a folder that stands in for a real one, which only some machines let a test make: the
kernel enforces nothing in it.
"""

import itertools
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import get_args

import pytest
from farm.renderers import Discovery
from farm.runner.farm_client import Farm
from farm.runner.limits import cgroups
from farm.runner.limits.amounts import limits_of
from farm.runner.limits.backstop import Backstop
from farm.runner.limits.usage import Tree, this_machine
from farm.runner.loop import work
from farm_protocol.runner import JobLimits, LimitsMode, Outcome, SandboxMode
from messages import says

from .fake_farm import TOKEN, FakeFarm
from .in_process import end
from .test_kernel_memory import OFTEN
from .test_limits import HARMLESS, MEGABYTE, attack, in_both_worlds
from .test_unmapped_memory import HELPERS, PIPES, SOCKETS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has control groups")
LIMITS = JobLimits(memory_bytes=200 * MEGABYTE)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the runner makes its groups."""
    folder = tmp_path / "groups"
    folder.mkdir()
    monkeypatch.setattr("farm.runner.limits.cgroups._base", lambda: folder)
    monkeypatch.setattr("farm.runner.limits.cgroups._TRIES", 1)
    return folder


def test_a_group_has_no_swap_beyond_its_limit(groups: Path) -> None:
    group = cgroups.Group.make(limits_of(LIMITS, this_machine(groups)))
    assert group is not None
    assert group.path.parent == groups
    assert (group.path / "memory.max").read_text() == str(LIMITS.memory_bytes)
    assert (group.path / "memory.swap.max").read_text() == "0"


@in_both_worlds
@pytest.mark.usefixtures("groups")
def test_queues_of_sockets_are_counted_beside_a_group(tmp_path: Path, sandbox: SandboxMode) -> None:
    finish = end(attack(tmp_path, HELPERS + SOCKETS, sandbox, LIMITS))
    assert says(finish.message, "renderer-used-more-than-memory", "200 MB")


@in_both_worlds
@pytest.mark.usefixtures("groups")
def test_what_a_group_is_charged_for_is_left_to_the_kernel(
    tmp_path: Path, sandbox: SandboxMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A real group is charged for pipes.
    monkeypatch.setattr("farm.runner.limits.backstop.unexplained_bytes", int)
    ends_at_once = HELPERS + PIPES.replace("wait()", "time.sleep(3)")
    finish = end(attack(tmp_path, ends_at_once, sandbox, JobLimits(memory_bytes=60 * MEGABYTE)))
    assert finish.outcome is Outcome.COMPLETED, finish.message


@in_both_worlds
@pytest.mark.usefixtures("groups")
def test_memory_of_the_kernel_is_attributed_beside_a_group(
    tmp_path: Path, sandbox: SandboxMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queues of netlink sockets held 3 GB beside a group of 512 MB, which was charged for 27."""
    amounts = itertools.count(0, LIMITS.memory_bytes or 0)
    monkeypatch.setattr("farm.runner.limits.backstop.unexplained_bytes", lambda: next(amounts))
    monkeypatch.setattr("farm.runner.limits.attribution.LEAST_SHARE", 0)
    finish = end(attack(tmp_path, HELPERS + OFTEN, sandbox, LIMITS))
    assert says(finish.message, "kernel-memory-attributed")
    assert not finish.permanent


STATISTICS = """\
anon 900
kernel 500
kernel_stack 30
pagetables 20
slab_reclaimable 50
slab_unreclaimable 250
sock 70
"""


def test_only_what_no_group_is_charged_for_is_attributed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = cgroups.Group(tmp_path)
    assert group.kernel_bytes() == group.connection_bytes() == 0
    unexplained = iter([1000, 1400, 3000])
    monkeypatch.setattr("farm.runner.limits.backstop.unexplained_bytes", lambda: next(unexplained))
    monkeypatch.setattr("farm.runner.limits.attribution.Share.update", lambda *_: 1.0)
    backstop = Backstop(group.kernel_bytes)
    (tmp_path / "memory.stat").write_text(STATISTICS)
    assert group.connection_bytes() == 70
    assert backstop.update(Tree(), 1.0).kernel_bytes == 0
    assert backstop.update(Tree(), 2.0).kernel_bytes == 1600
    # Before Linux 5.18 there is no sum.
    (tmp_path / "memory.stat").write_text(STATISTICS.replace("kernel ", "other "))
    assert group.kernel_bytes() == 250


@pytest.fixture
def without_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.runner.limits.cgroups._base", lambda: None)


def required_of(
    folder: Path, claims: int, on_job: bool = False, on_claims: Collection[int] = ()
) -> FakeFarm:
    """Render claims of a frame for a farm that requires control groups."""

    def work_with(farm: FakeFarm) -> None:
        farm.limits_required = set(on_claims)
        if on_job:
            farm.job = farm.job.model_copy(update={"limits_mode": "required"})
        runner, found = Farm(farm.url, TOKEN), {"maya": [str(folder / "maya" / "bin" / "Render")]}
        work(runner, folder / "work", Discovery(found), "off", threading.Event())
        runner.close()

    return attack(folder, HARMLESS, "off", None, claims=claims, work_with=work_with)


@pytest.mark.usefixtures("without_groups")
def test_where_limits_are_required_nothing_is_rendered_without_a_group(tmp_path: Path) -> None:
    farm = required_of(tmp_path, 1, on_job=True)
    assert not farm.frames
    assert (end(farm).outcome, end(farm).permanent) == (Outcome.FAILED, False)
    assert says(end(farm).message, "farm-requires-one-farm-limits")


@pytest.mark.usefixtures("without_groups")
def test_a_farm_that_comes_to_require_groups_gives_no_other_claim(tmp_path: Path) -> None:
    farm = required_of(tmp_path, 2, on_claims={2})
    assert farm.frames.keys() == {1}
    assert says(farm.finishes["c2"].message, "farm-requires-one-farm-limits")


@pytest.mark.usefixtures("groups")
def test_where_limits_are_required_a_machine_with_groups_renders(tmp_path: Path) -> None:
    farm = required_of(tmp_path, 2, on_job=True, on_claims={2})
    assert farm.frames.keys() == {1, 2}


@pytest.mark.usefixtures("without_groups")
@pytest.mark.parametrize("mode", get_args(LimitsMode))
@pytest.mark.parametrize("alone", [True, False])
def test_an_operator_is_told_what_a_machine_lacks(mode: LimitsMode, alone: bool) -> None:
    told = cgroups.complaint(mode, alone)
    assert says(told, "farm-requires-one-farm-limits") is (mode == "required")
    assert says(told, "memory-only-watched-so-scene") is (mode == "auto" and not alone)
    assert bool(told) is (mode == "required" or not alone)


@pytest.mark.usefixtures("groups")
@pytest.mark.parametrize("mode", get_args(LimitsMode))
def test_an_operator_whose_machine_has_groups_is_told_nothing(mode: LimitsMode) -> None:
    assert cgroups.complaint(mode, alone=False) == ""
