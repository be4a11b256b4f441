"""Kinds of contracts that import-linter lacks, for its configuration in ``pyproject.toml``.

Its own kinds only forbid the modules that are listed, so a new library would pass. Of foreign
modules they only see the top-level name: ``urllib``, not ``urllib.request``. And they pass over
folders without an ``__init__.py``.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

_CLOCK = {"now", "utcnow", "today"}
"""Methods that return the current time: refused even where ``datetime`` may be imported."""


@dataclass(frozen=True)
class _Use:
    """An import, with the imported name, or the name of a method that returns the time."""

    module: str
    path: Path
    name: str
    line: int


class _Contract(Contract):
    source_modules = fields.ListField(subfield=fields.StringField())
    except_modules = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    as_packages = fields.BooleanField(required=False, default=True)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        refused = [
            use
            for source in self.source_modules  # type: ignore[attr-defined]
            for module, path in _modules(source)
            if self.as_packages or module == source
            if not _is_below(module, self.except_modules)  # type: ignore[arg-type]
            for use in _uses(module, path)
            if self.is_refused(use)
        ]
        return ContractCheck(kept=not refused, metadata={"refused": refused})

    def is_refused(self, use: _Use) -> bool:
        raise NotImplementedError

    def render_broken_contract(self, check: ContractCheck) -> None:
        for use in check.metadata["refused"]:
            output.print_error(f"-   {use.module} -> {use.name} (l.{use.line})", bold=False)
        output.new_line()


class OnlyContract(_Contract):
    """Modules and their submodules import only each other and what is allowed.

    In the names of modules a "*" stands for any one part.

    Configuration options:
        source_modules: of which this holds.
        except_modules: of these, with all below them, it does not.
        as_packages: whether it holds of the submodules; if not, it forbids these, too.
        allowed_modules: with all below them, or single names of them.
        allowed_imports: more of them for some: "module -> what it and all below it may import".
        on_path: folders without an ``__init__.py``. Modules in these, and those that lie beside
            the importing one in such a folder, may be called by their last names alone.
        standard_library: whether all of it is allowed, too.
        clock: whether they may ask what time it is.
    """

    allowed_modules = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    allowed_imports = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    on_path = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    standard_library = fields.BooleanField(required=False, default=False)
    clock = fields.BooleanField(required=False, default=False)

    def is_refused(self, use: _Use) -> bool:
        if use.name in _CLOCK:
            return not self.clock
        first = use.name.partition(".")[0]
        if self.standard_library and first in sys.stdlib_module_names:
            return False
        if self.on_path and first in self._bare_names(use.path):
            return False
        siblings = self.source_modules if self.as_packages else ()
        allowed = (*siblings, *self.allowed_modules, *self._allowed_for(use.module))  # type: ignore[misc]
        return not _is_below(use.name, allowed)

    def _allowed_for(self, module: str) -> Iterator[str]:
        for pair in self.allowed_imports:  # type: ignore[attr-defined]
            importer, imported = pair.split(" -> ")
            if _is_below(module, [importer]):
                yield imported

    def _bare_names(self, path: Path) -> set[str]:
        found = [found for each in self.on_path for _, found in _modules(each)]  # type: ignore[attr-defined]
        if not path.with_name("__init__.py").exists():
            found += path.parent.glob("*.py")
        return {each.stem for each in found}


class WithoutContract(_Contract):
    """Modules and their submodules do not import these directly.

    Configuration options:
        source_modules, except_modules, as_packages: as above.
        forbidden_names: of modules, with all below them.
        allowed_names: exceptions, each for whoever wants it.
    """

    forbidden_names = fields.ListField(subfield=fields.StringField())
    allowed_names = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def is_refused(self, use: _Use) -> bool:
        if _is_below(use.name, self.allowed_names):  # type: ignore[arg-type]
            return False
        return _is_below(use.name, self.forbidden_names)  # type: ignore[arg-type]


class FoldersContract(_Contract):
    """What lies in a folder of a package is imported by what lies in the same folder only.

    Configuration options:
        source_modules, except_modules, as_packages: as above.
        container: the package with the folders: all that there are.
        shared_folders: those of them that are for everybody.
    """

    container = fields.StringField()
    shared_folders = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        container = str(self.container)
        (package,) = (path.parent for name, path in _modules(container) if name == container)
        self._private = {
            f"{container}.{each.name}"
            for each in package.iterdir()
            if each.is_dir() and each.name not in self.shared_folders  # type: ignore[operator]
        }
        return super().check(graph, verbose)

    def is_refused(self, use: _Use) -> bool:
        return any(
            _is_below(use.name, [each]) and not _is_below(use.module, [each])
            for each in self._private
        )


def _is_below(name: str, packages: Iterable[str]) -> bool:
    return any(
        re.match(re.escape(each).replace(r"\*", "[^.]+") + r"(\.|\Z)", name) for each in packages
    )


def _uses(module: str, path: Path) -> Iterator[_Use]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                for each in names:
                    yield _Use(module, path, each.name, node.lineno)
            case ast.ImportFrom(module=str(package), names=names, level=0):
                for each in names:
                    yield _Use(module, path, f"{package}.{each.name}", node.lineno)
            case ast.ImportFrom():
                raise ValueError(f"{module} has a relative import: name the module in full.")
            case ast.Attribute(attr=name) if name in _CLOCK:
                yield _Use(module, path, name, node.lineno)


def _modules(name: str) -> Iterator[tuple[str, Path]]:
    """Yield a module, or those of a package, each with its file; also scripts outside of packages.

    A "*" in the name stands for any one part of it.
    """
    root, *rest = name.split(".")
    spec = find_spec(root)
    if spec is None or spec.submodule_search_locations is None:
        raise ValueError(f"There is no package {root}.")
    folder = Path(spec.submodule_search_locations[0])
    pattern = "/".join(rest)
    found = {folder} if not rest else {*folder.glob(pattern), *folder.glob(f"{pattern}.py")}
    for path in sorted(found):
        for each in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            parts = each.relative_to(folder).with_suffix("").parts
            yield ".".join((root, *parts)).removesuffix(".__init__"), each
    if not found:
        raise ValueError(f"There is no module {name}.")
