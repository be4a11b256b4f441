"""The map of a scene: where the files that it and its libraries name are on the farm. Pure.

`farm_protocol.path_maps` says what a map is, and `farm.products.shared.farm_paths` how it is used.
"""

import ntpath
import os.path
import posixpath
from types import ModuleType

from farm_protocol.path_maps import MOST_RULES, PathFormat, PathMap, PathRule

from envoy.gather.named import rules_of


class Rules:
    """Collects the rules of one scene: folders, and files whose names differ on the farm."""

    def __init__(self, system: ModuleType = os.path) -> None:
        """Start without any rules.

        Parameters:
            system: path module of this machine.
        """
        self._system = system
        self._folders: dict[str, str] = {}
        self._files: dict[str, str] = {}
        self._blends: dict[str, str] = {}

    def add(self, source: str, remote: str) -> None:
        """Map a file, named by an absolute path of any system, to its place on the farm."""
        system = rules_of(source) or self._system
        folder, name = system.split(source)
        place, _, remote_name = remote.rpartition("/")
        if name == remote_name and self._folders.setdefault(folder, place) == place:
            return
        self._files[source] = remote

    def add_folder(self, source: str, remote: str) -> None:
        """Map everything in a local folder to a place on the farm, unless another rule says
        otherwise.
        """
        self._folders.setdefault(source, remote)

    def add_blend(self, local: str, remote: str) -> None:
        """Map a local .blend, which names other files relative to its own folder."""
        self._blends[local] = remote

    def map(self) -> PathMap:
        """Return the map."""
        found = {**self._folders, **self._files, **self._blends}
        return PathMap(
            rules=[
                PathRule(
                    source_path_format=self._format(source),
                    source_path=source,
                    destination_path=remote,
                )
                for source, remote in sorted(found.items())[:MOST_RULES]
            ]
        )

    def _format(self, source: str) -> PathFormat:
        return "WINDOWS" if (rules_of(source) or self._system) is ntpath else "POSIX"


def plain_place(path: str, blend: str) -> str:
    """Return where a ``//`` path leads on the farm without a map; "" for all other paths.

    Parameters:
        path: as the .blend writes it.
        blend: remote path of that .blend.
    """
    if not path.startswith("//"):
        return ""
    below = path[2:].replace("\\", "/")
    return posixpath.normpath(posixpath.join(posixpath.dirname(blend), below))
