"""Finds programs: the configured ones, else those on the PATH and in vendors' folders.

A `Discovery` is lazy: a program is started, to determine its version, only when it is reached, and
never one of another product. Results are kept.
"""

import contextlib
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from farm.products import BUILT_IN, Library, Program
from farm.renderers.ask import ask
from farm.renderers.blender_python import ask_bpy, iter_bpy
from farm.renderers.places import Places, is_executable
from farm.renderers.plugins import find_colours, find_plugins
from farm.renderers.renderer import Renderer, RendererError
from farm.renderers.versions import version_in


class Discovery:
    """The programs of this machine. May be used from several threads."""

    def __init__(
        self,
        configured: Mapping[str, Sequence[str]] | None = None,
        places: Places | None = None,
        library: Library = BUILT_IN,
    ) -> None:
        """Search nothing yet.

        Parameters:
            configured: product -> paths of programs; they are then the only ones of this product:
                naming one is meant to be exclusive. A Python with bpy is a Blender, too.
            places: where to look; None: this machine.
            library: the products whose programs are looked for.
        """
        self.library = library
        self._configured = dict(configured or {})
        self._places = places or Places.here()
        self._sights = {
            app: _Sight(self._look(app, data)) for app, data in library.programs.items()
        }

    def of(self, app: str) -> Iterator[Renderer]:
        """Yield a product's programs in the order of preference; nothing for an unknown product.

        Raises:
            RendererError: a configured path does not work. Again whenever it is asked for.
        """
        yield from self._sights.get(app, ())

    def found(self) -> list[Renderer]:
        """Return what has been found so far, without looking any further."""
        return [renderer for sight in self._sights.values() for renderer in sight.found]

    def warm_up(self) -> None:
        """Find the program that is most likely to be needed, before somebody waits for it."""
        for app in self._sights:
            # A configured one that does not work is reported when it is requested.
            with contextlib.suppress(RendererError):
                if next(self.of(app), None) is not None:
                    return

    def all(self) -> tuple[list[Renderer], dict[str, str]]:
        """Find everything, all products concurrently.

        Returns:
            what was found, and product -> why its configured programs cannot be used.
        """
        found: list[Renderer] = []
        wrong: dict[str, str] = {}
        with ThreadPoolExecutor(len(self._sights)) as pool:
            asked = {app: pool.submit(list, self.of(app)) for app in self._sights}
        for app, answer in asked.items():
            try:
                found += answer.result()
            except RendererError as error:
                wrong[app] = str(error)
        return found, wrong

    def _look(self, app: str, data: Program) -> Iterator[Renderer]:
        if app in self._configured:
            for text in self._configured[app]:
                yield self._named(app, data, text)
            return
        seen: set[Path] = set()
        for path, how in self._candidates(data):
            # The same program under another name, such as /bin and /usr/bin.
            if path.resolve() not in seen:
                seen.add(path.resolve())
                if (renderer := self._ask(app, data, path, how)) is not None:
                    yield renderer
        if data.python:
            yield from iter_bpy(self._places)

    def _candidates(self, data: Program) -> Iterator[tuple[Path, str]]:
        for name in data.names:
            for path in self._places.on_path(name):
                yield path, "on the PATH"
        for pattern in data.folders.get(self._places.platform, []):
            for path in self._places.installed(pattern):
                yield path, f"in {path.parent}"

    def _named(self, app: str, data: Program, text: str) -> Renderer:
        how = f"configured as {text}"
        found = shutil.which(Path(text).expanduser(), path=self._places.environment.get("PATH"))
        if found is None:
            raise RendererError(f"The configured {app} '{text}' is not an executable file.")
        path = Path(found)
        if data.python and path.name.startswith("python"):
            renderer = ask_bpy(path, how)
        else:
            renderer = self._ask(app, data, path, how)
        if renderer is None:
            raise RendererError(_no_answer(app, data, text, path))
        return renderer

    def _ask(self, app: str, data: Program, path: Path, how: str) -> Renderer | None:
        if not all(_beside(path, name) for name in data.needs):
            return None
        version = _version(data, path)
        if version is None:
            return None
        found = find_plugins(self._places, data, version, path)
        colours = find_colours(self._places, data, version, path)
        command, needs = (str(path.absolute()),), tuple(data.needs)
        return Renderer(app, version, app, command, how, found, needs, colours)


class _Sight:
    """Values of an iterator, for several readers; each value is computed once."""

    def __init__(self, source: Iterator[Renderer]) -> None:
        self.found: list[Renderer] = []
        self._source = source
        self._error: RendererError | None = None
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Renderer]:
        for index in range(sys.maxsize):
            with self._lock:
                if index == len(self.found) and not self._more():
                    return
            yield self.found[index]

    def _more(self) -> bool:
        if self._error is None:
            try:
                self.found.append(next(self._source))
            except StopIteration:
                return False
            except RendererError as error:
                self._error = error
            else:
                return True
        raise self._error


def _version(data: Program, path: Path) -> str | None:
    """Return a program's version; None when it does not work or does not report one."""
    for way in data.version:
        if way.path is not None:
            version = version_in(way.path, path.resolve().as_posix())
        else:
            assert way.ask is not None
            assert way.pattern is not None
            asked = _beside(path, way.beside) if way.beside else path
            output = ask([str(asked), *way.ask]) if asked else None
            if output is None:
                return None
            version = version_in(way.pattern, output)
        if version is not None:
            return version
    return None


def _beside(path: Path, name: str) -> Path | None:
    """Return the program of this name in the same folder, or in that of the file linked to."""
    folders = (path.parent, path.resolve().parent)
    names = (name + path.suffix, name) if path.suffix == ".exe" else (name,)
    paths = chain.from_iterable((folder / each for each in names) for folder in folders)
    return next(filter(is_executable, paths), None)


def _no_answer(app: str, data: Program, text: str, path: Path) -> str:
    missing = [name for name in data.needs if not _beside(path, name)]
    if missing:
        return f"The configured {app} '{text}' has no {missing[0]} beside it."
    asked = next(way for way in data.version if way.ask is not None)
    question = " ".join([asked.beside or "", *(asked.ask or [])]).strip()
    also = " (and it is not a Python with bpy)" if data.python else ""
    return f"The configured {app} '{text}' does not answer '{question}' as {app} does{also}."
