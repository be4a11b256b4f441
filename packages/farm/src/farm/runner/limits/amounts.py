"""How much of a machine the renderers of one job may use. Pure: numbers in, numbers out.

The farm tells what its operator has set for the machine type; everything else follows from the
machine, so that a farm of one computer needs no set-up.
"""

from dataclasses import dataclass

from farm_protocol.runner import Enforcement, HostLimits, JobLimits

GIGABYTE = 2**30
RESERVE_BYTES = GIGABYTE
"""Most space on a disk that a renderer must leave; of a small disk it is `_RESERVE_PART`."""
_RESERVE_PART = 1 / 50
_OTHERS_BYTES, _OTHERS_PART = GIGABYTE // 2, 1 / 20
"""Memory that is left for the runner, the farm and the system: the larger one of both."""
_PROCESSES, _PROCESSES_A_CPU = 4096, 64
"""Renderers start a few threads for each processor, and a big machine has hundreds of them."""
_SEEN_PART = 4
"""The kernel lets a renderer start so much more than it may: a quarter."""
_FILES = 1_000_000
"""A disk may have room for fewer, whatever they are full of: then half of them for all slots."""
_DESCRIPTORS = 16_384
"""Of one process. Scenes of thousands of textures need some thousands. It also bounds what can be
in the queues of sockets, where no look finds it."""
_FRAME_SECONDS = 24 * 3600
"""Processor time of a frame, times the processors: what a frame may take by the clock (the
products' ``frame_timeout``), which a job may set itself, while this is the operator's."""
_SMALL_PART = 8
"""``/tmp`` and ``/dev/shm`` lie in memory: each may take this part of a renderer's share."""


@dataclass(frozen=True)
class Machine:
    """What a machine has.

    Attributes:
        memory_bytes: that this process can get.
        processors: that this process may use.
        disk_bytes: size of the disk that the work folder is on.
        processes: that the user of this process may have, with all threads; None: any number, or
            renderers are another user's.
        disk_files: that this disk has room for; None: any number.
    """

    memory_bytes: int
    processors: int
    disk_bytes: int
    processes: int | None = None
    disk_files: int | None = None


@dataclass(frozen=True)
class Limits:
    """What the renderers of a job may use, all their processes together.

    Attributes:
        memory_bytes: of RAM.
        processes: processes and threads at a time.
        file_bytes: size of one file.
        disk_bytes: of all that they write, while it is there.
        files: that they write, while they are there.
        frame_cpu_seconds: processor time of one frame, summed over processors.
        reserve_bytes: of the disk, which they leave free.
        reserve_files: that the disk must still have room for.
    """

    memory_bytes: int
    processes: int
    file_bytes: int
    disk_bytes: int
    files: int
    frame_cpu_seconds: float
    reserve_bytes: int
    reserve_files: int = 0

    @property
    def small_bytes(self) -> int:
        """The size of a file system in memory: ``/tmp``, ``/dev/shm``."""
        return self.memory_bytes // _SMALL_PART

    @property
    def hard_processes(self) -> int:
        """What the kernel is told: more than is allowed, so that it can be seen and named."""
        return self.processes + self.processes // _SEEN_PART

    @property
    def rlimits(self) -> dict[str, int]:
        """The limits that each process has by itself, by their names in `resource`."""
        return {
            "RLIMIT_CORE": 0,
            "RLIMIT_FSIZE": self.file_bytes,
            "RLIMIT_NOFILE": _DESCRIPTORS,
        }


def limits_of(allowed: JobLimits, machine: Machine) -> Limits:
    """Return the limits of a job on a machine.

    Parameters:
        allowed: what the farm says.
    """
    others = max(_OTHERS_BYTES, int(machine.memory_bytes * _OTHERS_PART))
    # A machine so small that nothing is left must not be without any memory for a renderer.
    memory = max(machine.memory_bytes - others, machine.memory_bytes // 2) // allowed.slots
    disk = allowed.disk_bytes or machine.disk_bytes // 2 // allowed.slots
    return Limits(
        memory_bytes=allowed.memory_bytes or memory,
        processes=_processes(allowed, machine),
        file_bytes=allowed.file_bytes or disk,
        disk_bytes=disk,
        files=allowed.files or _files(allowed.slots, machine),
        frame_cpu_seconds=allowed.frame_cpu_seconds
        or max(1.0, machine.processors / allowed.slots) * _FRAME_SECONDS,
        reserve_bytes=min(RESERVE_BYTES, int(machine.disk_bytes * _RESERVE_PART)),
        reserve_files=int((machine.disk_files or 0) * _RESERVE_PART),
    )


def _files(slots: int, machine: Machine) -> int:
    if machine.disk_files is None:
        return _FILES
    return max(1, min(_FILES, machine.disk_files // 2 // slots))


def _processes(allowed: JobLimits, machine: Machine) -> int:
    """Return how many processes renderers may have, whatever an operator allows.

    Where they are of the user of this farm, half of all that this user may have is left for
    runners: who finds no room can neither confine a renderer nor look after it.
    """
    wanted = allowed.processes or max(_PROCESSES, _PROCESSES_A_CPU * machine.processors)
    if machine.processes is None:
        return wanted
    room = machine.processes // 2 // allowed.slots
    return max(1, min(wanted, room * _SEEN_PART // (_SEEN_PART + 1)))


def held_by(groups: bool, sandbox: bool, posix: bool, ends: bool) -> HostLimits:
    """Return how a machine holds renderers to their limits.

    Parameters:
        groups: a runner can make control groups.
        sandbox: renderers run in one, where they alone are counted.
        posix: each process can be limited.
        ends: nothing outlives that sandbox.
    """
    return HostLimits(
        memory=Enforcement.KERNEL if groups else Enforcement.WATCHED,
        processes=Enforcement.KERNEL if groups or sandbox else Enforcement.WATCHED,
        file_size=Enforcement.KERNEL if posix else Enforcement.WATCHED,
        disk=Enforcement.WATCHED,
        cpu=Enforcement.WATCHED,
        end=Enforcement.KERNEL if sandbox and ends else Enforcement.WATCHED,
    )


def size(number: float) -> str:
    """Return a number of bytes for people: ``1.5 GB``, ``300 MB``."""
    gigabytes = number / GIGABYTE
    return f"{number / 2**20:.0f} MB" if gigabytes < 1 else f"{gigabytes:.1f} GB"
