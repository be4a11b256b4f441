"""Mutation testing: change a module in one place after another, and see whether its tests fail.

.venv/bin/python -m tools.mutants packages/farm/src/farm/accounts/credentials.py

`tools/mutants.toml` lists the tests of each module. Other tests can follow the module on the
command line, and arguments for pytest after ``--``. Without a module, all of that file are tried,
which takes hours.

Each change is made in a copy of the package that precedes the real one on the module path: the
repository is not changed, and processes that a test starts see the change, too. A change is tried
with the tests that run its statement; if it runs only during import, or in other processes, with
all tests. Survivors are printed: either a test is missing, or the change is equivalent. For cached
results (`functools.cache`), only the first test that uses them is known, so check such survivors.
"""

import argparse
import ast
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import coverage
import pytest

from tools.mutations import Mutant, mutants

_ROOT = Path(__file__).parents[1]
_CHOSEN = _ROOT / "tools" / "mutants.toml"
_OUTPUT = "output.txt"
_LEAST_SECONDS = 20.0
"""A change counts as noticed if tests take this much longer than three times the usual time."""


@dataclass(frozen=True)
class Trial:
    """A module, the tests that should notice its changes, and further arguments for pytest.

    Attributes:
        seconds: of the tests that run a line, the fastest are tried until they usually take this.
    """

    module: Path
    tests: list[str]
    more: list[str]
    seconds: float = float("inf")


def chosen() -> dict[Path, Trial]:
    """Return the trials of `mutants.toml`, by module."""
    found = {}
    for name, values in tomllib.loads(_CHOSEN.read_text()).items():
        more = ["-k", values["only"]] if "only" in values else []
        found[_ROOT / name] = Trial(_ROOT / name, values["tests"], more)
    return found


class Copy:
    """A package's sources, of which one module is changed again and again."""

    def __init__(self, module: Path, folder: Path) -> None:
        package = next(each for each in module.parents if each.name == "src")
        self.path = folder / "src"
        # With what is compiled: it counts for the copies, whose time stamps are the same.
        shutil.copytree(package, self.path)
        self.module = self.path / module.relative_to(package)
        self._temporary = folder / "tmp"

    def passes(
        self, command: list[str], seconds: float, stopwatch: "_Stopwatch | None" = None
    ) -> bool:
        """Return whether tests pass with the module as it is now."""
        self._temporary.mkdir(mode=0o711)
        try:
            return _passes(command, seconds, self.path, self._temporary, stopwatch)
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)


@contextmanager
def _copy_of(module: Path) -> Iterator[Copy]:
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        # Renderers of another user find a way to their sources.
        Path(folder).chmod(0o711)
        yield Copy(module, Path(folder))


class _Stopwatch:
    """Writes down how long each test takes, with what it prepares."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += int(1000 * report.duration)

    def pytest_sessionfinish(self) -> None:
        self._file.write_text(json.dumps(self._seconds))


def _passes(
    command: list[str], seconds: float, path: Path, temporary: Path, stopwatch: _Stopwatch | None
) -> bool:
    """Run pytest in a fork, so that unchanged modules need not be imported again."""
    process = os.fork()
    if process == 0:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(temporary.with_name(_OUTPUT), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.environ |= {
            "PYTHONPATH": str(path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(temporary),
        }
        sys.dont_write_bytecode = True
        tempfile.tempdir = None
        sys.path.insert(0, str(path))
        os._exit(pytest.main(command, [stopwatch] if stopwatch else None))
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status) == 0
            time.sleep(0.02)
        return False
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(process, 0)


def _preload(module: Path) -> None:
    """Import the foreign libraries that the package uses, for all forks."""
    package = next(each for each in module.parents if each.name == "src")
    own = {each.name for each in _ROOT.glob("packages/*/src/*")}
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for name in filter(None, names):
                root = name.partition(".")[0]
                if root in own or root == "pytest" or root in sys.stdlib_module_names:
                    continue
                with suppress(ImportError):
                    importlib.import_module(name)


def _who_runs(
    trial: Trial, changed: Copy, command: list[str], folder: Path
) -> dict[int, dict[str, int]]:
    """Return the tests that run each line, and how many milliseconds they take.

    Lines that only an import runs are not there.
    """
    data, settings, times = folder / "coverage", folder / "coveragerc", folder / "times.json"
    settings.write_text(f"[run]\ndata_file = {data}\ninclude = {changed.module}\n")
    counted = ["--cov", f"--cov-config={settings}", "--cov-context=test", "--cov-report="]
    if not changed.passes([*command, *counted, *trial.tests], 3600, _Stopwatch(times)):
        output = (folder / _OUTPUT).read_text(errors="replace")
        sys.exit(f"{output}\n{trial.module.name}: the tests fail without any change.")
    taken: dict[str, int] = json.loads(times.read_text())
    found = coverage.CoverageData(str(data))
    found.read()
    by_line: dict[int, dict[str, int]] = {}
    for line, contexts in found.contexts_by_lineno(str(changed.module)).items():
        tests = {each.rpartition("|")[0] for each in contexts if each}
        by_line[line] = {each: taken[each] for each in tests}
    return by_line


def run(trial: Trial, wanted: list[Mutant]) -> int:
    """Print what survives; return how many."""
    _preload(trial.module)
    command = ["-n", "0", "-x", "-q", "-p", "no:cacheprovider", f"--rootdir={_ROOT}"]
    command += ["-W", "ignore::pytest.PytestAssertRewriteWarning", *trial.more]
    with _copy_of(trial.module) as changed:
        begin = time.monotonic()
        runs = _who_runs(trial, changed, command, changed.path.parent)
        seconds = time.monotonic() - begin
        survivors = [
            each for each in wanted if _survives(changed, each, trial, command, runs, seconds)
        ]
    print(f"{trial.module.name}: {len(wanted)} changes, {len(survivors)} not noticed.", flush=True)
    return len(survivors)


def _survives(
    changed: Copy,
    mutant: Mutant,
    trial: Trial,
    command: list[str],
    runs: dict[int, dict[str, int]],
    seconds: float,
) -> bool:
    """Return whether no test notices a change; ``seconds``: that all of them take."""
    times: dict[str, int] = {}
    for line in mutant.lines:
        times |= runs.get(line, {})
    # The fast ones first: the first that fails ends it.
    tests = list[str]()
    left = 1000 * trial.seconds
    for test in sorted(times, key=times.__getitem__):
        if not tests or times[test] <= left:
            tests.append(test)
            left -= times[test]
    if tests:
        seconds = sum(times[each] for each in tests) / 1000
    changed.module.write_text(mutant.source)
    if not changed.passes([*command, *(tests or trial.tests)], _LEAST_SECONDS + 3 * seconds):
        return False
    where = f"{trial.module.name}:{mutant.line}"
    print(f"{where}: {mutant.before}  ->  {mutant.after}  ({len(tests)} tests)", flush=True)
    return True


def main() -> None:
    """Print what survives; the exit code is 1 if anything does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("module", type=Path, nargs="?", help="what is changed; none: all known")
    parser.add_argument("tests", nargs="*", help="what should notice, in place of what is known")
    parser.add_argument("--lines", default="", help="only these lines, such as 20-80")
    parser.add_argument("--every", type=int, default=1, help="only each such change: a sample")
    parser.add_argument("--no-numbers", action="store_true", help="leave numbers as they are")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="only the fastest tests of each line"
    )
    own, more = sys.argv[1:], list[str]()
    if "--" in own:
        own, more = own[: own.index("--")], own[own.index("--") + 1 :]
    options = parser.parse_args(own)
    first, _, last = options.lines.partition("-")
    lines = range(int(first), int(last or first) + 1) if first else range(10**6)
    trials = chosen()
    if options.module is not None:
        module = options.module.resolve()
        known = trials.get(module)
        if not options.tests and known is None:
            sys.exit(f"{_CHOSEN.name} knows no tests of {options.module}: name them.")
        before = known.more if known is not None else []
        tests = options.tests or (known.tests if known is not None else [])
        trials = {module: Trial(module, tests, more or before)}

    def wanted(module: Path) -> list[Mutant]:
        every = mutants(module.read_text())
        some = [
            each
            for each in every
            if each.line in lines and not (each.number and options.no_numbers)
        ]
        return some[:: options.every]

    quick = [replace(each, seconds=options.seconds) for each in trials.values()]
    sys.exit(sum(run(each, wanted(each.module)) for each in quick) > 0)


if __name__ == "__main__":
    main()
