"""Programs of our own that read what strangers have made: in a sandbox, with limits.

Inside, there is the system, our own Python and its packages, the files that are handed over open,
and nothing else: no network, no other process, no private file. Where bubblewrap does not work they
are processes of their own all the same, which have limits and can be ended.

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

import farm
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
"""Small numbers are the sandbox's own: `farm.confine.bubblewrap`."""
_OWN_BYTES = 1 << 20
"""Of temporary files in memory, for names only."""
_PART = 4
"""What such a program writes takes no more than this part of what is free."""


@dataclass(frozen=True)
class Readers:
    """How such programs are started.

    Attributes:
        mode: of the farm's sandbox.
        scratch: existing folder in which they get one for their files; None: the system's.
        check: raises a `farm.errors.StorageFullError` where a file in ``scratch`` may not grow by
            so many bytes.
        grant: for a while, lets so many bytes at most be written into ``scratch``: as many as it
            yields.
    """

    mode: SandboxMode = "auto"
    scratch: Path | None = None
    check: Callable[[int], None] = lambda _: None
    grant: Callable[[int], AbstractContextManager[int]] = nullcontext

    @contextmanager
    def own_folder(self, prefix: str) -> Iterator[Path]:
        """Give such a program a folder for a while; what it leaves there is removed.

        Raises OSError, also `farm.confine.UndecidedError`.
        """
        folder = new_folder(prefix, self._parent())
        try:
            yield folder.resolve()
        finally:
            remove_tree(folder)

    @contextmanager
    def room(self, size: int) -> Iterator[int]:
        """Keep room for what such a program writes; yields how many of the bytes it may write."""
        free = shutil.disk_usage(self._parent() or tempfile.gettempdir()).free
        with self.grant(min(size, free // _PART)) as granted:
            yield granted

    def _parent(self) -> Path | None:
        # Without a sandbox, who root becomes finds no way through root's own folders.
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

    What it is to read reaches it as open files: who it is may open none of the farm's. But for
    what an account may open that is given.

    Parameters:
        module: that is run, as by ``python -m``.
        mode: of the farm's sandbox; ``off``: only limits.
        written: the only folder that it may write into; None for none.
        read: further files and folders that it sees.
        account: whom it runs as in a sandbox of root's; None for nobody.

    Raises:
        farm.confine.UndecidedError: nobody can tell now whether there is a sandbox.
    """
    # -I: neither variables nor the folder that we happen to be in change what is imported. What
    # this process imports from beside its Python, as after `pip install --user`, is told.
    places = _import_places()
    told = json.dumps([str(each) for each in places])
    program = [sys.executable, "-I", "-c", _RUN, told, module]
    if not _is_sandboxed(mode):
        return program
    ours = [Path(each.__file__ or "").resolve().parent for each in (farm, farm_protocol)]
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
    """Return the variables of such a program: none that tell of this machine or its user."""
    where = str(folder or _TEMPORARY)
    return {"PATH": "/usr/bin:/bin", "TMPDIR": where, "TEMP": where, "PYTHONDONTWRITEBYTECODE": "1"}


def inheritable(file: int) -> int:
    """Return another descriptor of an open file, for a reader to inherit; not on Windows."""
    import fcntl

    return fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR)


def new_folder(prefix: str, parent: Path | None = None) -> Path:
    """Make a folder that such a program may write into."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    if is_root():
        os.chown(folder, NOBODY, NOBODY)
    return folder


def _import_places() -> list[Path]:
    """Return the folders that this process imports from, but the one that it was started in.

    Nor one that holds the user's home: packages are not all that lies there.
    """
    first = 0 if sys.flags.safe_path else 1
    told = [Path(each) for each in sys.path[first:]]
    folders = [each.resolve() for each in told if each.is_absolute()]
    try:
        home = Path.home().resolve()
    except RuntimeError:
        home = None  # A user that the system knows no home of.
    return [
        each
        for each in dict.fromkeys(folders)
        if each.is_dir() and not (home and home.is_relative_to(each))
    ]


def _is_sandboxed(mode: SandboxMode) -> bool:
    return mode != "off" and not probe()
