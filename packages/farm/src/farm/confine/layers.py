"""A folder that a confined program may change freely, and that stays unchanged.

The kernel overlays the program's changes on the folder (overlayfs) and keeps them in another
folder. The mount is in the program's own namespace, and so ends with it. Ordinary users may make
one since Linux 5.11; the file system must support extended attributes, and must not be an overlay
itself. Where this does not work, callers make a copy instead.
"""

from dataclasses import dataclass
from pathlib import Path

from farm.confine.account import Account, util_linux

_MOUNT = (
    # Relative paths: `:` and `,` are special in lowerdir= and the other options.
    'cd "$0" && "$4" -t overlay overlay -o'
    ' "lowerdir=$1,upperdir=$2/upper,workdir=$2/work$3" "$1" && shift 4 && exec "$@"'
)


@dataclass(frozen=True)
class Layer:
    """A folder, with another one for its changes.

    Attributes:
        root: the parent of both; private to the runner.
        name: name of the folder that appears, at its own path, with its changes.
        changes: name of the folder for the changes, in which `upper` and `work` must be.
    """

    root: Path
    name: str
    changes: str

    @property
    def path(self) -> Path:
        """Path of the folder, where it appears with its changes."""
        return self.root / self.name

    @property
    def upper(self) -> Path:
        """The changes. The program's account must own it: it stands for the folder itself."""
        return self.root / self.changes / "upper"

    @property
    def work(self) -> Path:
        """The kernel's work folder, on the same disk."""
        return self.root / self.changes / "work"


def mounted(layer: Layer, account: Account | None) -> list[str]:
    """Return the command line whose last program sees the folder with its changes.

    Parameters:
        account: the account of the last program; None when we are not root. Then the line must
            follow one that has made a user namespace and kept its capabilities (`unshare --user
            --mount --keep-caps`), which this one drops again.
    """
    shell = ["/bin/sh", "-c", _MOUNT, str(layer.root), layer.name, layer.changes]
    options = ",userxattr" if account is None else ""
    line = [*shell, options, _found("mount")]
    if account is None:
        return [*line, _found("setpriv"), "--ambient-caps=-all", "--inh-caps=-all", "--"]
    return [_found("unshare"), "--mount", "--propagation", "private", "--", *line]


def _found(program: str) -> str:
    return util_linux(program) or program
