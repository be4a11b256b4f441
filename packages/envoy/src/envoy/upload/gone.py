"""Files of a project on the farm that its folder no longer contains.

This covers only files that do not exist at all: a file that exists and was skipped, such as a
result of an earlier submission, stays on the farm. A missing folder proves nothing: its disk may
not be mounted, or somebody has moved it while its submission waited.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from stat import S_ISDIR

from farm_protocol.real_paths import real_path

from envoy.journal import UploadFolder


def topmost(folders: Sequence[UploadFolder]) -> list[str]:
    """Return the remote paths of the folders that are in no other one."""
    remotes = {each.remote for each in folders}
    return sorted(each for each in remotes if remotes.isdisjoint(_parents(each)))


def gone(folders: Sequence[UploadFolder], unsent: Iterable[str]) -> list[str]:
    """Return the remote paths that no longer have a local file.

    Parameters:
        folders: all folders that are sent as a whole.
        unsent: what the farm has in them and is not being sent now.
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
    # The farm must not learn where a link leads outside the folder.
    try:
        lies_within = Path(real_path(path.parent)).is_relative_to(real_path(folder))
        return lies_within and not S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        # A failing disk, or too many links: nobody has removed the file.
        return True
