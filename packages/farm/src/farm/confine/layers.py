"""A folder that a confined program may write to as it likes, and that stays as it is.

The kernel lays what the program changes over the folder (overlayfs) and keeps it in a folder
beside. The mount lives in a namespace of the program's own, and so ends with it. An ordinary user
may make one since Linux 5.11; the file system must know extended attributes, and may be no overlay
itself. Where that is not so, who wants such a folder makes a copy.
"""

from dataclasses import dataclass
from pathlib import Path

from farm.confine.account import Account, util_linux

_MOUNT = (
    # Relative paths: in what lowerdir= and the others take, `:` and `,` mean something.
    'cd "$0" && "$4" -t overlay overlay -o'
    ' "lowerdir=$1,upperdir=$2/upper,workdir=$2/work$3" "$1" && shift 4 && exec "$@"'
)


@dataclass(frozen=True)
class Layer:
    """A folder with another one in which its changes are kept.

    Attributes:
        root: the folder in which both lie; of the runner alone.
        name: name of the folder that is shown, at its own path, with its changes.
        changes: name of the folder for the changes, in which `upper` and `work` must be.
    """

    root: Path
    name: str
    changes: str

    @property
    def path(self) -> Path:
        """Where the folder lies, and is seen with its changes."""
        return self.root / self.name

    @property
    def upper(self) -> Path:
        """What has changed. The program's account must own it: it stands for the folder itself."""
        return self.root / self.changes / "upper"

    @property
    def work(self) -> Path:
        """The kernel's own, on the same disk."""
        return self.root / self.changes / "work"


def mounted(layer: Layer, account: Account | None) -> list[str]:
    """Return the command line whose end sees the folder with its changes.

    Parameters:
        account: whom the program runs as in the end; None when we are not root ourselves. Then the
            line must come behind one that has made a user namespace, and kept its capabilities
            (`unshare --user --mount --keep-caps`), which this takes away again.
    """
    shell = ["/bin/sh", "-c", _MOUNT, str(layer.root), layer.name, layer.changes]
    options = ",userxattr" if account is None else ""
    line = [*shell, options, _found("mount")]
    if account is None:
        return [*line, _found("setpriv"), "--ambient-caps=-all", "--inh-caps=-all", "--"]
    return [_found("unshare"), "--mount", "--propagation", "private", "--", *line]


def _found(program: str) -> str:
    return util_linux(program) or program
