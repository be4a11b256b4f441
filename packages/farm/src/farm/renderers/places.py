"""The places on a machine where programs and plug-ins may be installed."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from farm.products import Platform
from farm.renderers.versions import version_key

_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Places:
    """Where to look.

    Attributes:
        root: root of the globs for vendors' folders; tests give their own.
        platform: platform of the folders.
        environment: PATH, and variables with which a glob may begin.
    """

    root: Path
    platform: Platform
    environment: Mapping[str, str]

    @classmethod
    def here(cls) -> "Places":
        """Return those of this machine and process."""
        return cls(Path(Path(sys.executable).anchor), _platform(), os.environ)

    def on_path(self, name: str) -> Iterator[Path]:
        """Yield the executables on the PATH; the first one only, if the name has no wildcards."""
        path = self.environment.get("PATH", "")
        if not _WILD.search(name):
            if found := shutil.which(name, path=path):
                yield Path(found)
            return
        for folder in filter(None, path.split(os.pathsep)):
            yield from filter(is_executable, _newest_first(Path(folder), name))

    def installed(self, pattern: str) -> Iterator[Path]:
        """Yield the executables that a glob finds, newest first by the versions in their paths."""
        yield from filter(is_executable, self.find(pattern))

    def find(self, pattern: str, folder: Path | None = None) -> list[Path]:
        """Return what a glob finds, newest first.

        Parameters:
            pattern: with ``/`` on every platform; may begin with ``{folder}`` or a ``$VARIABLE``,
                which finds nothing when it is not set.
            folder: stands for ``{folder}``.
        """
        head, *parts = pattern.split("/")
        if head == "{folder}":
            start = folder
        elif head.startswith("$"):
            value = self.environment.get(head[1:])
            start = Path(value) if value else None
        else:
            start = self.root
        if start is None:
            return []
        while parts and not _WILD.search(parts[0]):
            start /= parts.pop(0)
        if not parts:
            return [start] if start.exists() else []
        return _newest_first(start, "/".join(parts))


def is_executable(path: Path) -> bool:
    """Return whether this is an executable file."""
    return path.is_file() and os.access(path, os.X_OK)


def _newest_first(start: Path, pattern: str) -> list[Path]:
    try:
        found = list(start.glob(pattern))
    except OSError:
        return []
    return sorted(found, key=lambda path: (version_key(str(path)), str(path)), reverse=True)


def _platform() -> Platform:
    """Return the name of this process's platform in products' files."""
    if sys.platform == "win32":
        return "windows"
    return "macos" if sys.platform == "darwin" else "linux"
