"""What a project has on the farm, and its folder no longer on the disk.

Only files that are not there at all: one that is there and was left out, such as a result of an
earlier submission, stays on the farm. A folder that is not there itself says nothing: its disk is
not mounted, or somebody has moved it while its submission waited.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from stat import S_ISDIR

from farm_protocol.real_paths import real_path

from envoy.journal import UploadFolder


def topmost(folders: Sequence[UploadFolder]) -> list[str]:
    """Return the remote paths of the folders that lie in no other one."""
    remotes = {each.remote for each in folders}
    return sorted(each for each in remotes if remotes.isdisjoint(_parents(each)))


def gone(folders: Sequence[UploadFolder], unsent: Iterable[str]) -> list[str]:
    """Return which remote paths nothing on the disk stands for any more.

    Parameters:
        folders: all that are sent as a whole.
        unsent: what the farm has in them and is not sent now.
    """
    local = {each.remote: Path(each.local) for each in folders}
    missing = {remote for remote, folder in local.items() if not folder.is_dir()}

    def is_there(path: str) -> bool:
        return any(
            folder in missing or _exists(local[folder], path.removeprefix(f"{folder}/"))
            for folder in _parents(path)
            if folder in local
        )

    return [path for path in unsent if not is_there(path)]


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _exists(folder: Path, relative: str) -> bool:
    path = folder / relative
    # What a link leads to outside the folder is nothing that the farm may learn of.
    try:
        lies_within = Path(real_path(path.parent)).is_relative_to(real_path(folder))
        return lies_within and not S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        # A disk that fails, or more links than anybody follows: nobody has removed it.
        return True
