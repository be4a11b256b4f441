"""Our own programs that read untrusted files: in a sandbox, with limits.

Inside, there are only the system, our own Python and its packages, and files that are passed open:
no network, no other process, no private file. Without bubblewrap they are still separate processes,
with limits, which can be killed.

Such a program limits itself (`farm.confine.own_limits`) before it reads anything.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import farm_protocol
from farm_protocol.runner import SandboxMode

from farm.confine import SYSTEM, Account, View, is_root, prefix, probe
from farm.confine.own_limits import NOBODY
from farm.confine.python import own_python
from farm.confine.removal import remove_tree

_TEMPORARY = Path("/tmp")  # noqa: S108 - its own
_RUN = (
    "import json, runpy, sys;"
    "sys.path += json.loads(sys.argv.pop(1));"
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
_FIRST_DESCRIPTOR = 64
"""Small numbers belong to the sandbox itself: `farm.confine.bubblewrap`."""
_OWN_BYTES = 1 << 20
"""Size of temporary files in memory, which only hold names."""
_PART = 4
"""Such a program may write at most this fraction of the free space."""


@dataclass(frozen=True)
class Readers:
    """How such programs are started.

    Attributes:
        mode: of the farm's sandbox.
        scratch: existing folder in which they get one for their files; None: the system's.
        check: raises `farm.errors.StorageFullError` where a file in ``scratch`` must not grow by so
            many bytes.
        grant: reserves up to so many bytes for files in ``scratch``; yields how many it has
            reserved.
    """

    mode: SandboxMode = "auto"
    scratch: Path | None = None
    check: Callable[[int], None] = lambda _: None
    grant: Callable[[int], AbstractContextManager[int]] = nullcontext

    @contextmanager
    def own_folder(self, prefix: str) -> Iterator[Path]:
        """Give such a program a folder for a while; its content is removed afterwards.

        Raises OSError, also `farm.confine.UndecidedError`.
        """
        folder = new_folder(prefix, self._parent())
        try:
            yield folder.resolve()
        finally:
            remove_tree(folder)

    @contextmanager
    def room(self, size: int) -> Iterator[int]:
        """Reserve room for such a program's output; yields how many of the bytes it may write."""
        free = shutil.disk_usage(self._parent() or tempfile.gettempdir()).free
        with self.grant(min(size, free // _PART)) as granted:
            yield granted

    def _parent(self) -> Path | None:
        # Without a sandbox, the account that root switches to cannot pass through root's own
        # folders.
        lost = is_root() and not _is_sandboxed(self.mode)
        return None if lost else self.scratch


DEFAULT = Readers()


def command(
    module: str,
    mode: SandboxMode,
    written: Path | None = None,
    read: Iterable[Path] = (),
    account: Account | None = None,
) -> list[str]:
    """Return the command line of one of our programs.

    Its input is passed as open files, since its account cannot open the farm's. Exceptions are
    files that a given account can open.

    Parameters:
        module: module to run, as by ``python -m``.
        mode: of the farm's sandbox; ``off``: only limits.
        written: the only writable folder; None for none.
        read: further visible files and folders.
        account: its account in a sandbox of root's; None for nobody.

    Raises:
        farm.confine.UndecidedError: it is currently unknown whether there is a sandbox.
    """
    # -I: neither variables nor the current folder influence imports. The folders from which this
    # process imports beside its Python, as after `pip install --user`, are passed.
    places = _import_places()
    import_paths = json.dumps([str(each) for each in places])
    program = [sys.executable, "-I", "-c", _RUN, import_paths, module]
    if not _is_sandboxed(mode):
        return program
    protocol = Path(farm_protocol.__file__ or "").resolve().parent
    ours = [Path(__file__).resolve().parents[1], protocol]
    view = View(
        readable=tuple(
            each
            for each in (*own_python(), *ours, *places, *read)
            if not any(each.is_relative_to(folder) for folder in SYSTEM)
        ),
        writable=() if written is None else (written,),
        small_bytes=_OWN_BYTES,
    )
    other = (account or Account(NOBODY, NOBODY)) if is_root() else None
    return [*prefix(view, other), *program]


def environment(folder: Path | None = None) -> dict[str, str]:
    """Return the variables of such a program: none that reveal this machine or its user."""
    where = str(folder or _TEMPORARY)
    return {"PATH": "/usr/bin:/bin", "TMPDIR": where, "TEMP": where, "PYTHONDONTWRITEBYTECODE": "1"}


def inheritable(file: int) -> int:
    """Return a duplicate of an open file's descriptor, for a reader to inherit; not on Windows."""
    import fcntl

    return fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)


def new_folder(prefix: str, parent: Path | None = None) -> Path:
    """Create a folder that such a program may write into."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    if is_root():
        os.chown(folder, NOBODY, NOBODY)
    return folder


def _import_places() -> list[Path]:
    """Return the folders from which this process imports, except the current one at its start.

    Nor one that contains the user's home, which has more than packages.
    """
    first = 0 if sys.flags.safe_path else 1
    places = [Path(each) for each in sys.path[first:]]
    folders = [each.resolve() for each in places if each.is_absolute()]
    try:
        home = Path.home().resolve()
    except RuntimeError:
        home = None  # A user without a known home.
    return [
        each
        for each in dict.fromkeys(folders)
        if each.is_dir() and not (home and home.is_relative_to(each))
    ]


def _is_sandboxed(mode: SandboxMode) -> bool:
    return mode != "off" and not probe()
