"""The folders of one job on this machine, removed at its end.

A runner that is root owns them, but what its renderer writes belongs to the renderer's account.
Without a sandbox, that account must be able to reach them, which it cannot through root's private
folders, so they are then elsewhere.
"""

import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from farm.confine import Account, Layer, stop_all
from farm.confine.removal import remove_tree
from farm.products.shared.farm_orders import Confined

_ELSEWHERE = ("/var/tmp", "/tmp")  # noqa: S108 - mkdtemp makes the folder in it
_TRIES = 20
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Workplace:
    """Folders of a runner, all on one disk so that files can be renamed between them.

    Attributes:
        project: the staged files, each at its remote path.
        changes: the current renderer's changes to them, where a sandbox overlays these (`layer`).
        written: everything that the renderer writes, ``output`` and ``partial``: one folder, since
            a sandbox mounts it, and files cannot be renamed between mounts.
        output: finished files of the current claim.
        partial: files being written.
        taken: finished files that the runner has taken away from the renderer.
        home: HOME and temporary files of the renderer.
        orders: orders for a driver; the renderer cannot write there.
        session: OpenJD's own files.
        account: the renderer's account; None: the runner's own.
    """

    root: Path
    project: Path
    changes: Path
    written: Path
    output: Path
    partial: Path
    taken: Path
    home: Path
    orders: Path
    session: Path
    account: Account | None = None

    @classmethod
    def create(cls, work_dir: Path, job_id: str, account: Account | None = None) -> "Workplace":
        """Create the folders below ``work_dir``. Raises OSError."""
        work_dir.mkdir(parents=True, exist_ok=True)
        # Random, since several runners of a job may share a work folder; 0700, from mkdtemp.
        root = Path(
            tempfile.mkdtemp(prefix=f"{job_id[:40]}-{os.getpid()}-", dir=work_dir.resolve())
        )
        return cls._in(root, account)

    @classmethod
    def _in(cls, root: Path, account: Account | None) -> "Workplace":
        written = root / "written"
        place = cls(
            root=root,
            project=root / "project",
            changes=root / "changes",
            written=written,
            output=written / "output",
            partial=written / "partial",
            taken=root / "taken",
            home=root / "home",
            orders=root / "orders",
            session=root / "s",
            account=account,
        )
        for folder in (place.project, place.home, place.orders, place.session):
            folder.mkdir(exist_ok=True)
        place.clear()
        place._give(place.home)
        return place

    def within_reach(self) -> "Workplace":
        """Return a place that the account of a renderer without a sandbox can reach.

        The content of the old one is lost. `remove` of either removes both. Raises OSError.
        """
        if self.account is None:
            return self
        root = self.root
        if not all(self.account.may_pass(each) for each in root.parents):
            base = next(each for each in map(Path, _ELSEWHERE) if self.account.may_pass(each))
            root = Path(tempfile.mkdtemp(prefix="render-farm-", dir=base))
            _remove(self.root)
            # With a name that is swept if the runner is killed.
            self.root.symlink_to(root)
        os.chown(root, -1, self.account.gid)
        root.chmod(0o710)
        return self._in(root, self.account)

    @property
    def layer(self) -> Layer:
        """The project's files, with the renderer's changes kept separate."""
        return Layer(self.root, self.project.name, self.changes.name)

    def clear(self) -> None:
        """Remove what the last claim left behind."""
        # All of it: the renderer may have replaced our folders by links.
        for folder in (self.written, self.taken, self.changes):
            _remove(folder)
        layer = self.layer
        for folder in (self.written, self.output, self.partial, self.taken, self.changes):
            folder.mkdir()
        for folder in (layer.upper, layer.work):
            folder.mkdir()
        # It appears as the project's folder itself.
        self._give(layer.upper)

    def hand_over(self) -> None:
        """Give the renderer's account the folders to write into. Until then nobody else can access
        them.
        """
        self._give_all(self.written)

    def clear_project(self) -> None:
        """Remove the staged files."""
        _remove(self.project)
        self.project.mkdir()

    def hand_over_project(self) -> None:
        """Let the renderer's account change the staged files: they are no longer ours."""
        self._give_all(self.project)

    def keep(self, orders: Confined) -> Path:
        """Write the orders for confining the renderer, where it cannot write; return the file."""
        file = self.root / "sandbox.json"
        file.write_text(json.dumps(orders), encoding="utf-8")
        return file

    def stop_leftovers(self) -> None:
        """End processes that the renderer has left running, if it has its own account."""
        if self.account is not None:
            stop_all(self.account)

    def remove(self) -> None:
        """Remove everything."""
        self.stop_leftovers()
        remove_place(self.root)

    def _give_all(self, root: Path) -> None:
        if self.account is None:
            return
        for folder, _, files in os.walk(root, topdown=False):
            for name in files:
                self._give(Path(folder, name))
            self._give(Path(folder))

    def _give(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)


def remove_place(root: Path) -> None:
    """Remove a job's folder, wherever it is."""
    if root.is_symlink():
        _remove(root.readlink())
        root.unlink(missing_ok=True)
    else:
        _remove(root)


def _remove(folder: Path) -> None:
    """Remove a folder, even while a renderer ends: its processes die just after bubblewrap."""
    for _ in range(_TRIES):
        if remove_tree(folder):
            return
        time.sleep(_PAUSE_SECONDS)
