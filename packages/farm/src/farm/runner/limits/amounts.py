"""The resource limits of one job's renderers. Pure: numbers in, numbers out.

The operator may set limits for a machine type. The others are derived from the machine, so that a
farm on a single computer needs no configuration.
"""

from dataclasses import dataclass

from farm_protocol.runner import Enforcement, HostLimits, JobLimits

GIGABYTE = 2**30
RESERVE_BYTES = GIGABYTE
"""Disk space that renderers must leave free; on a small disk, `_RESERVE_PART` of it."""
_RESERVE_PART = 1 / 50
_OTHERS_BYTES, _OTHERS_PART = GIGABYTE // 2, 1 / 20
"""Memory reserved for the runner, the farm and the system: whichever is larger."""
_PROCESSES, _PROCESSES_A_CPU = 4096, 64
"""Renderers start a few threads per processor, and big machines have hundreds of processors."""
_SEEN_PART = 4
"""The kernel's limit on processes is a quarter above ours, so that we see when ours is exceeded.
"""
_FILES = 1_000_000
"""On a disk with room for fewer inodes, all slots together get half of those instead."""
_DESCRIPTORS = 16_384
"""Per process. Scenes with thousands of textures need several thousand. This also bounds how many
files can be hidden in the queues of sockets, where they cannot be found."""
_PENDING_SIGNALS = 8_192
"""Signals and timers that wait. They count for a user, who may have some ten thousand: a renderer
must leave some for the others."""
_FRAME_SECONDS = 24 * 3600
"""Processor time of a frame, per processor. The same as the longest wall-clock time of a frame (the
products' ``frame_timeout``); but that one a job may change, and this one only the operator."""
_SMALL_PART = 8
"""``/tmp`` and ``/dev/shm`` are in memory: each gets 1/8 of a renderer's memory."""


@dataclass(frozen=True)
class Machine:
    """The resources of a machine.

    Attributes:
        memory_bytes: memory available to this process.
        processors: processors available to this process.
        disk_bytes: size of the disk that contains the work folder.
        processes: how many processes and threads the current user may have; None: unlimited, or
            renderers run as another user.
        disk_files: number of inodes of that disk; None: unlimited.
    """

    memory_bytes: int
    processors: int
    disk_bytes: int
    processes: int | None = None
    disk_files: int | None = None


@dataclass(frozen=True)
class Limits:
    """The limits of a job's renderers, for all their processes together.

    Attributes:
        memory_bytes: RAM.
        processes: processes and threads at a time.
        file_bytes: size of a single file.
        disk_bytes: total size of the files that they have written and not removed.
        files: number of those files.
        frame_cpu_seconds: processor time of one frame, summed over processors.
        reserve_bytes: disk space that must stay free.
        reserve_files: inodes that must stay free.
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
        """The size of each in-memory file system: ``/tmp``, ``/dev/shm``."""
        return self.memory_bytes // _SMALL_PART

    @property
    def hard_processes(self) -> int:
        """The kernel's limit: higher than ours, so that exceeding ours can be seen and reported."""
        return self.processes + self.processes // _SEEN_PART

    @property
    def rlimits(self) -> dict[str, int]:
        """The limits of each single process, by their names in `resource`."""
        return {
            "RLIMIT_CORE": 0,
            "RLIMIT_FSIZE": self.file_bytes,
            "RLIMIT_NOFILE": _DESCRIPTORS,
            "RLIMIT_SIGPENDING": _PENDING_SIGNALS,
        }


def limits_of(allowed: JobLimits, machine: Machine) -> Limits:
    """Return the limits of a job on a machine.

    Parameters:
        allowed: the operator's limits for the machine type; 0 where they are derived here.
    """
    others = max(_OTHERS_BYTES, int(machine.memory_bytes * _OTHERS_PART))
    # Even on a very small machine, a renderer gets half of the memory.
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
    """Return how many processes and threads renderers may have, at most what the operator allows.

    If renderers run as the farm's own user, half of that user's processes are reserved for runners:
    a runner that cannot start a process can neither confine a renderer nor watch it.
    """
    wanted = allowed.processes or max(_PROCESSES, _PROCESSES_A_CPU * machine.processors)
    if machine.processes is None:
        return wanted
    room = machine.processes // 2 // allowed.slots
    return max(1, min(wanted, room * _SEEN_PART // (_SEEN_PART + 1)))


def held_by(groups: bool, sandbox: bool, posix: bool, ends: bool) -> HostLimits:
    """Return how a machine enforces the limits of renderers.

    Parameters:
        groups: runners can create control groups.
        sandbox: renderers run in a sandbox, where only their own processes are counted.
        posix: limits of single processes exist (setrlimit).
        ends: no process outlives the sandbox.
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
