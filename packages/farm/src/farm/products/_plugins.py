"""What a renderer needs in addition to the product itself when a job has a plug-in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PlugIn:
    """What a renderer may use in its sandbox when a job has a plug-in.

    Attributes:
        licences: whether it may reach the licence servers that the studio's file names.
        folders: environment variables with folders that it reads.
        program: the product whose program it is, on the same machine; "" for files that the
            renderer loads.
    """

    licences: bool
    folders: tuple[str, ...]
    program: str = ""


def chosen(plugins: Mapping[str, PlugIn], texts: Iterable[str]) -> list[PlugIn]:
    """Return those of ``plugins`` that a job uses.

    Parameters:
        texts: the job's plug-ins: ``<code>`` or ``<code>:<version>``.
    """
    codes = {text.partition(":")[0] for text in texts}
    return [plugin for code, plugin in plugins.items() if code in codes]
