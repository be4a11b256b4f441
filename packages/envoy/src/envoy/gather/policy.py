"""From where files may be gathered that nobody has added. What they must be, `kinds` says.

A scene comes from anywhere, and can name any file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from envoy.gather.named import is_network

_SYSTEM = ("/boot", "/dev", "/etc", "/proc", "/run", "/sys")
_OF_DESKTOPS = "font"
"""Desktops keep them in hidden folders."""


@dataclass(frozen=True, slots=True)
class Policy:
    """From where files may be gathered.

    Attributes:
        takes: whether any are that nobody has added; else those are only looked for.
        folders: real paths; what lies outside the project must lie below one of them. Empty: it may
            lie anywhere but in hidden folders and in the system's.
    """

    takes: bool = True
    folders: tuple[str, ...] = ()

    def refuses_path(self, path: str) -> str:
        """Return why nobody may even ask the disk for a path; "" when one may.

        A machine that is asked for a file learns who asks.
        """
        if is_network(path) and not _is_below(path, self.folders):
            return "it lies on another machine"
        return ""

    def refuses(self, real: str, kind: str) -> str:
        """Return why a file outside the project is not taken; "" when it may be.

        Parameters:
            real: its path, no links in it.
            kind: what names it, as the tracer says.
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
