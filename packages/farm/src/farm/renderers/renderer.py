"""What is known about a program that was found, and the choice between several."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from farm.products import BUILT_IN, Library
from farm.renderers.versions import version_key


class RendererError(Exception):
    """A requested renderer cannot be used. ``str()`` is a message for people."""


@dataclass(frozen=True)
class FoundPlugin:
    """A plug-in that a program may load.

    Attributes:
        text: ``<code>:<version>``; `UNKNOWN` without a version.
        folder: where it lies.
        variables: names and values with which the program loads this one.
        paths: names of variables that are lists of paths, and what to prepend to them.
        program: the plug-in is this program of another product; None: it consists of files.
    """

    text: str
    folder: Path
    variables: tuple[tuple[str, str], ...] = ()
    paths: tuple[tuple[str, tuple[str, ...]], ...] = ()
    program: "Renderer | None" = None


@dataclass(frozen=True)
class Renderer:
    """A program that renders, or encodes frames as films, and its version.

    Attributes:
        app: short product code, as in the catalogue.
        version: as the product writes it, such as ``3.4.1`` or ``15.1v3``.
        kind: ``bpy`` is a Python that can import Blender; else the product code: its executable.
        command: absolute path of the program.
        how_found: for people, such as "on the PATH".
        found: the plug-ins in the places where it, or the farm, looks for them.
        needs: programs that it needs, in the same folder.
        colours: the OpenColorIO configurations that it brings along, or is lent.
    """

    app: str
    version: str
    kind: str
    command: tuple[str, ...]
    how_found: str
    found: tuple[FoundPlugin, ...] = ()
    needs: tuple[str, ...] = ()
    colours: tuple[Path, ...] = ()

    @property
    def plugins(self) -> tuple[str, ...]:
        """Return ``<code>:<version>`` of each plug-in."""
        return tuple(dict.fromkeys(each.text for each in self.found))

    def with_program(self, name: str) -> "Renderer":
        """Return the same product with another of its programs, in the same folder.

        Parameters:
            name: name of the executable, without ``.exe``; "" for this one.

        Raises:
            RendererError: the installation has no such program.
        """
        if not name:
            return self
        own = Path(self.command[0])
        # The PATH may have a link to one program of an installation, and none to others.
        places = dict.fromkeys(
            each.parent / f"{name}{_ending(own)}" for each in (own, own.resolve())
        )
        found = next((each for each in places if each.is_file()), None)
        if found is None:
            raise RendererError(
                f"The render machine's {self.app} {self.version} has no {name} beside {own}."
            )
        return replace(self, command=(str(found), *self.command[1:]))


def _ending(program: Path) -> str:
    # Not just any suffix: a name such as hython3.11 has none.
    return program.suffix if program.suffix.lower() == ".exe" else ""


def choose(
    renderers: Iterable[Renderer],
    app: str,
    version: str,
    lacks: Callable[[Renderer], int] = lambda _: 0,
    library: Library = BUILT_IN,
) -> Renderer | None:
    """Return the renderer for a product version: the same, else one of the same series (3.4).

    Of several it is the one that lacks least, then the newest, then the first one. The search ends
    with the first one of the same version that lacks nothing. None when there is none: another
    series may render differently, so it is never used.

    Parameters:
        version: as submitted; "" when any will do.
        lacks: returns how many of the job's requirements a renderer lacks.
        library: defines series.
    """
    same: list[Renderer] = []
    related: list[Renderer] = []
    for renderer in renderers:
        if renderer.app != app:
            continue
        if not version or renderer.version == version:
            if not lacks(renderer):
                return renderer
            same.append(renderer)
        elif library.series(app, renderer.version) == library.series(app, version):
            related.append(renderer)
    return min(same, key=lacks, default=None) or max(
        related, key=lambda each: (-lacks(each), version_key(each.version)), default=None
    )
