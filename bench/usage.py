"""What a process and all that it starts use, while it works."""

import contextlib
import threading

import psutil

_LOOK_SECONDS = 0.2


def cpu_with_children(process: psutil.Process) -> float:
    """Return CPU seconds of a process and of all its descendants that have ended (Linux)."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


class Watched:
    """Looks at a process tree until the end of a ``with`` block.

    Attributes:
        memory: bytes of all processes together, at the largest; what several share is counted
            once (on Linux, and not at all elsewhere).
        children_cpu: CPU seconds of the processes that the root has started, without what those
            have started; their last `_LOOK_SECONDS` are missing.
    """

    def __init__(self, root: psutil.Process) -> None:
        """Prepare to watch ``root``."""
        self.memory = 0
        self._root = root
        self._children: dict[tuple[int, float], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_on)

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def children_cpu(self) -> float:
        """See the class."""
        return sum(self._children.values())

    def _look_on(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            while not self._stop.wait(_LOOK_SECONDS):
                self._look()

    def _look(self) -> None:
        memory = 0
        for process in [self._root, *self._root.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                info = process.memory_full_info()
                memory += getattr(info, "pss", info.uss)
                if process.ppid() == self._root.pid:
                    times = process.cpu_times()
                    who = (process.pid, process.create_time())
                    self._children[who] = times.user + times.system
        self.memory = max(self.memory, memory)
