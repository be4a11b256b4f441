"""Two kinds of contracts that import-linter lacks, for its configuration in ``pyproject.toml``.

Its own kinds only forbid the modules that are listed, so a new library would pass. And of foreign
modules they only see the top-level name: ``urllib``, not ``urllib.request``.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
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
    name: str
    line: int


class _Contract(Contract):
    source_modules = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        refused = [
            use
            for source in self.source_modules  # type: ignore[attr-defined]
            for module, path in _modules(source)
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

    Configuration options:
        source_modules: of which this holds.
        allowed_modules: with all below them, or single names of them.
        by_bare_name: whether those that lie in no package may be called by their last names alone,
            as scripts call what lies beside them.
        standard_library: whether all of it is allowed, too.
        clock: whether they may ask what time it is.
    """

    allowed_modules = fields.ListField(subfield=fields.StringField())
    standard_library = fields.BooleanField(required=False, default=False)
    clock = fields.BooleanField(required=False, default=False)
    by_bare_name = fields.BooleanField(required=False, default=False)

    def is_refused(self, use: _Use) -> bool:
        if use.name in _CLOCK:
            return not self.clock
        if self.standard_library and use.name.partition(".")[0] in sys.stdlib_module_names:
            return False
        if self.by_bare_name and use.name.partition(".")[0] in self._bare_names:
            return False
        return not _is_below(use.name, (*self.source_modules, *self.allowed_modules))  # type: ignore[misc]

    @cached_property
    def _bare_names(self) -> frozenset[str]:
        return frozenset(
            name.rpartition(".")[2]
            for source in self.source_modules  # type: ignore[attr-defined]
            for name, path in _modules(source)
            if not path.with_name("__init__.py").exists()
        )


class WithoutContract(_Contract):
    """Modules and their submodules do not import these directly.

    Configuration options:
        source_modules: of which this holds.
        forbidden_names: of modules, with all below them.
        allowed_names: exceptions, each for whoever wants it.
    """

    forbidden_names = fields.ListField(subfield=fields.StringField())
    allowed_names = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def is_refused(self, use: _Use) -> bool:
        if _is_below(use.name, self.allowed_names):  # type: ignore[arg-type]
            return False
        return _is_below(use.name, self.forbidden_names)  # type: ignore[arg-type]


def _is_below(name: str, packages: Iterable[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in packages)


def _uses(module: str, path: Path) -> Iterator[_Use]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                for each in names:
                    yield _Use(module, each.name, node.lineno)
            case ast.ImportFrom(module=str(package), names=names, level=0):
                for each in names:
                    yield _Use(module, f"{package}.{each.name}", node.lineno)
            case ast.ImportFrom():
                raise ValueError(f"{module} has a relative import: name the module in full.")
            case ast.Attribute(attr=name) if name in _CLOCK:
                yield _Use(module, name, node.lineno)


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
