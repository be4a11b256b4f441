"""The files around a scene: as submitted when a claim begins, and free for the renderer to change.

Where a sandbox overlays a renderer's changes on the files, they vanish with the claim. Elsewhere
the files are copies, and files that a claim has changed are restored before the next one.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from farm_protocol.runner import RunnerJob

from farm.runner.farm_client import Farm
from farm.runner.stage import stage
from farm.runner.workplace import Workplace

Mark = tuple[int, int, int, int]
"""Attributes that differ once a file or folder has changed: inode, size, modification time and
change time, in ns.
"""


@dataclass
class Surroundings:
    """The staged files of a job.

    Attributes:
        layered: a sandbox keeps renderers' changes separate.
    """

    farm: Farm
    job: RunnerJob
    place: Workplace
    layered: bool
    stopping: threading.Event
    _marks: dict[str, Mark] | None = None

    def bring(self) -> None:
        """Make sure that the files are as they were submitted.

        Raises:
            farm.runner.stage.StageError: they cannot be restored.
            farm.runner.stage.InterruptedStageError: the runner is to end.
            farm.runner.farm_client.ReportError: the farm is gone.
            OSError: the work folder is not usable.
        """
        if self._marks is not None and (self.layered or self._are_unchanged()):
            return
        self.place.clear_project()
        files, source = self.job.files, self.job.source
        # A renderer's account cannot change root's own files: root's are copies, too.
        linked = self.layered and self.place.account is None
        stage(files, self.place.project, self.farm, source, self.stopping, linked)
        self.place.hand_over_project()
        self._marks = {} if self.layered else _marks_of(self.place.project)

    def _are_unchanged(self) -> bool:
        try:
            return _marks_of(self.place.project, self._marks) == self._marks
        except OSError:
            return False  # Entries that cannot be examined were not staged.


def _marks_of(root: Path, expected: dict[str, Mark] | None = None) -> dict[str, Mark]:
    """Return the marks of everything in a folder, by path; stops at an unexpected entry.

    Raises:
        OSError: an entry cannot be examined.
    """
    found: dict[str, Mark] = {}
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        status = os.lstat(folder)
        found[folder] = _mark(status)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                found[entry.path] = mark = _mark(entry.stat(follow_symlinks=False))
                if expected is not None and expected.get(entry.path) != mark:
                    return found
    return found


def _mark(status: os.stat_result) -> Mark:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
