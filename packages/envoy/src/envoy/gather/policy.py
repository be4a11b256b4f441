"""From where files may be gathered that nobody has added. `kinds` says what they must be.

A scene comes from anywhere, and can name any file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envoy.gather.named import is_network

_SYSTEM = ("/boot", "/dev", "/etc", "/proc", "/run", "/sys")
_OF_DESKTOPS = "font"
"""Desktops keep fonts in hidden folders."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Decides from where files may be gathered.

    Attributes:
        takes: whether files are taken that nobody has added; otherwise they are only looked for.
        folders: real paths; files outside the project must be below one of them. Empty: they may be
            anywhere but in hidden and system folders.
    """

    takes: bool = True
    folders: tuple[str, ...] = ()

    def refuses_path(self, path: str) -> str:
        """Return why the disk must not even be asked about a path; "" when it may be.

        Asking another machine for a file tells it who asks.
        """
        if is_network(path) and not _is_below(path, self.folders):
            return "it lies on another machine"
        return ""

    def refuses(self, real: str, kind: str) -> str:
        """Return why a file outside the project is not taken; "" when it is.

        Parameters:
            real: its path, without links.
            kind: the kind of reference, from the tracer.
        """
        if self.folders:
            if _is_below(real, self.folders):
                return ""
            return "it lies in none of the folders that files are gathered from"
        if refused := self.refuses_path(real):
            return refused
        if _is_below(real, _SYSTEM):
            return "it belongs to the system"
        hidden = any(name.startswith(".") for name in Path(real).parts[1:])
        return "it lies in a hidden folder" if hidden and kind != _OF_DESKTOPS else ""


def _is_below(path: str, folders: Sequence[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)
