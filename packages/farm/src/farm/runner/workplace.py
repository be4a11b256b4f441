"""The folders of one job on this machine, removed at the end."""

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_TRIES = 20
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Workplace:
    """Folders of a runner, all on one disk so that files move by a rename.

    Attributes:
        project: the staged files, each at its remote path.
        written: all that the renderer writes, ``output`` and ``partial``: one folder, since a
            sandbox mounts it, and a file cannot be renamed from one mount to another.
        output: finished files of the current claim.
        partial: files being written.
        taken: finished files that the runner has taken away from the renderer.
        home: HOME and temporary files of the renderer.
        orders: what the runner tells a driver; the renderer cannot write there.
        session: OpenJD's own files.
    """

    root: Path
    project: Path
    written: Path
    output: Path
    partial: Path
    taken: Path
    home: Path
    orders: Path
    session: Path

    @classmethod
    def create(cls, work_dir: Path, job_id: str) -> "Workplace":
        """Make the folders below ``work_dir``. Raises OSError."""
        work_dir.mkdir(parents=True, exist_ok=True)
        # Random, since several runners of a job may share a work folder; 0700, as mkdtemp makes it.
        root = Path(
            tempfile.mkdtemp(prefix=f"{job_id[:40]}-{os.getpid()}-", dir=work_dir.resolve())
        )
        written = root / "written"
        place = cls(
            root=root,
            project=root / "project",
            written=written,
            output=written / "output",
            partial=written / "partial",
            taken=root / "taken",
            home=root / "home",
            orders=root / "orders",
            session=root / "s",
        )
        for folder in (place.project, place.home, place.orders, place.session):
            folder.mkdir()
        place.clear()
        return place

    def clear(self) -> None:
        """Forget what the last claim left behind."""
        # All of it: what the renderer has put there in place of our folders may be a link.
        for folder in (self.written, self.taken):
            _remove(folder)
        for folder in (self.written, self.output, self.partial, self.taken):
            folder.mkdir()

    def remove(self) -> None:
        """Remove everything."""
        _remove(self.root)


def _remove(folder: Path) -> None:
    """Remove a folder, also while a renderer ends: those in a sandbox die just after bubblewrap."""
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_PAUSE_SECONDS)
