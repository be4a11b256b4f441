"""The data folder of a farm, and its database: exclusive to one process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farm_protocol.announcement import Announcement
from farm_protocol.private import Contents, make_folder, reason
from filelock import FileLock, Timeout

from farm.db.engine.database import Database
from farm.db.memory import BLOBS
from farm.db.opening import adopt, connect
from farm.errors import CannotOpenDatabaseError

DATA = Contents(
    # Perhaps only the blobs were restored from a backup.
    marks=("farm.lock", "farm.json", "farm.sqlite", "database.json", BLOBS),
    files=("farm.sqlite-*", ".farm.json.new", ".database.json.new"),
    folders=(BLOBS, "work", "scratch", "logs"),
)


class StartError(Exception):
    """The farm cannot start, or cannot continue. ``str()`` is a message that says what to do."""


@contextmanager
def owned(data_dir: Path) -> Iterator[None]:
    """Lock the data folder for this process. Raises StartError."""
    try:
        make_folder(data_dir, DATA)
        lock = FileLock(data_dir / "farm.lock")
        lock.acquire(blocking=False)
    except Timeout:
        raise StartError(
            f"Another farm is using {data_dir} ({_who(data_dir)}). "
            "Stop it first, or give this one a folder of its own with --data-dir."
        ) from None
    except OSError as error:
        raise StartError(
            f"The data folder {data_dir} cannot be used: {reason(error, data_dir)}. "
            "Fix that, or name another folder with --data-dir."
        ) from error
    try:
        yield
    finally:
        lock.release()


def open_own(data_dir: Path, url: str | None, *, new_folder: bool) -> Database:
    """Open the database of a data folder that is `owned`, creating or migrating it where needed.

    Parameters:
        url, new_folder: as of `farm.db.opening.connect` and `adopt`.

    Raises:
        StartError: it cannot be opened, or another farm works on it.
    """
    try:
        database = connect(data_dir, url)
        if not database.own():
            database.close()
            raise StartError(
                "Another farm is using the database of FARM_DATABASE_URL. "
                "Stop it first, or give this one a database of its own."
            )
        # Only now: the tables of a running farm must not change.
        adopt(database, data_dir, new_folder=new_folder)
    except CannotOpenDatabaseError as error:
        raise StartError(error.message) from error
    return database


def _who(data_dir: Path) -> str:
    who = Announcement.read(data_dir)
    return f"process {who.pid}, {who.url}" if who else "it is just starting"
