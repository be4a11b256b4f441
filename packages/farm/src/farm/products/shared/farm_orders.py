"""What a runner passes to the programs that start its renderers, in JSON.

Only the standard library, Python 3.10 or newer.
"""

from typing import TypedDict


class Confined(TypedDict):
    """How a renderer is confined, for ``farm_start.py``.

    Attributes:
        command: prefix of the renderer's own command; [] for none.
        apart: whether the renderer then has its own process namespace.
        programs: whether a scene may run programs that its renderer confines only partly.
        rlimits: by their names in `resource`.
        group: folder of its control group; "" for none.
        pid_file: where it writes its process id.
    """

    command: "list[str]"
    apart: bool
    programs: bool
    rlimits: "dict[str, int]"
    group: str
    pid_file: str


class Run(TypedDict):
    """One start of a program: its arguments, and the frames that it is to render."""

    arguments: "list[str]"
    frames: "list[int]"


class Orders(TypedDict):
    """What ``drive.py`` does with a program.

    Attributes:
        files: for each frame: the names that a file may have below ``partial``, and its name below
            ``output``.
        stems: prefix of other files of a frame -> the prefix that they get.
        started, written, writing, progress: patterns of the program's lines; "" for none.
        size: width and height in pixels; None when unknown.
        setup: shell script beside the program; "" for none.
        folders: frames may lie in folders of several cameras or layers.
        copy: a file, and where a copy of it is to lie beside the project's; [] for none.
    """

    program: str
    runs: "list[Run]"
    files: "dict[str, list[tuple[list[str], str]]]"
    stems: "dict[str, str]"
    started: str
    written: str
    writing: str
    progress: str
    size: "list[int] | None"
    setup: str
    folders: bool
    environment: "dict[str, str]"
    warnings: "list[str]"
    copy: "list[str]"
    partial: str
    output: str
