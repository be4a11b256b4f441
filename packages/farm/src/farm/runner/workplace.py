"""The folders of one job on this machine, removed at the end."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workplace:
    """Folders of a runner, all on one disk so that files move by a rename.

    Attributes:
        project: the staged files, each at its remote path.
        output: finished files of the current claim.
        partial: files being written.
        home: HOME and temporary files of the renderer.
        session: OpenJD's own files.
    """

    root: Path
    project: Path
    output: Path
    partial: Path
    home: Path
    session: Path

    @classmethod
    def create(cls, work_dir: Path, job_id: str) -> "Workplace":
        """Make the folders below ``work_dir``. Raises OSError."""
        work_dir.mkdir(parents=True, exist_ok=True)
        # Random, since several runners of a job may share a work folder; 0700, as mkdtemp makes it.
        root = Path(
            tempfile.mkdtemp(prefix=f"{job_id[:40]}-{os.getpid()}-", dir=work_dir.resolve())
        )
        place = cls(root, *(root / name for name in ("project", "output", "partial", "home", "s")))
        for folder in (place.project, place.home, place.session):
            folder.mkdir()
        place.clear()
        return place

    def clear(self) -> None:
        """Forget what the last claim left behind."""
        for folder in (self.output, self.partial):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.root, ignore_errors=True)
