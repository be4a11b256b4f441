"""What a miniature ``.hip`` holds, and the state of a session. A ``.hip`` is JSON:

nodes          path -> {"type", "parms": name -> value, "expressions": name -> ``chs("...")``,
               "locked": names, "inputs": paths}. Managers (/out, /obj ...) are always there
takes          name -> {parameter path -> value}; "Main" need not be named
variables      global variables that the scene brings, as JOB
load_warnings  texts
stand_in       test orders, see the package
"""

import json
import os
from typing import Any

from stand_ins_houdini import _errors, _types
from stand_ins_houdini._expand import expand

MAIN = "Main"
_KEYS = {"nodes", "takes", "variables", "load_warnings", "stand_in"}


class Scene:
    """One session: the open scene, its takes, its variables, its current frame.

    Attributes:
        orders: what the test wants to happen.
        take: name of the current take.
        auto_take: whether edits add parameters to the current take.
    """

    def __init__(self) -> None:
        """Begin with an empty scene, as hython does."""
        self.path = os.path.join(os.getcwd(), "untitled.hip")
        self.frame = 1.0
        self.variables = dict(os.environ)
        self._clear()

    def _clear(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {
            path: {"type": kind} for path, kind in _types.MANAGERS.items()
        }
        self.takes: dict[str, dict[str, Any]] = {MAIN: {}}
        self.orders: dict[str, Any] = {}
        self.take, self.auto_take = MAIN, False
        self.values: dict[str, Any] = {}
        self.expressions: dict[str, str] = {}
        self.locked: set[str] = set()
        self.errors: dict[str, list[str]] = {}
        self.callbacks: dict[str, list[Any]] = {}

    def load(self, path: str, ignore_warnings: bool) -> None:
        """Open a ``.hip``. Raises OperationFailed, and LoadWarning when it is open after all."""
        try:
            with open(path, encoding="utf-8") as file:
                content = json.load(file)
            unknown = set(content) - _KEYS
        except (OSError, ValueError, TypeError):
            raise _errors.OperationFailed(f"Unable to open file: {path}") from None
        if unknown:
            raise _errors.OperationFailed(f"Error loading {path}: unknown {sorted(unknown)}")
        self._clear()
        self.path = path
        self.orders = content.get("stand_in", {})
        self.variables.update(content.get("variables", {}))
        warnings = list(content.get("load_warnings", []))
        for node_path, node in content.get("nodes", {}).items():
            kind = _types.kind_of(node["type"])
            if os.path.dirname(node_path) not in self.nodes or kind is None:
                warnings.append(f"Unable to create {node['type']} node {node_path}")
                continue
            self.nodes[node_path] = node
            for name, value in {**kind.parms, **node.get("parms", {})}.items():
                self.values[f"{node_path}/{name}"] = value
            for name, text in node.get("expressions", {}).items():
                self.expressions[f"{node_path}/{name}"] = text
            self.locked.update(f"{node_path}/{name}" for name in node.get("locked", []))
        self.takes.update({name: dict(edits) for name, edits in content.get("takes", {}).items()})
        if warnings and not ignore_warnings:
            raise _errors.LoadWarning("\n".join(warnings))

    def raw(self, path: str) -> Any:
        """Return a parameter's value in the current take, unexpanded."""
        edits = self.takes[self.take]
        return edits[path] if path in edits else self.values[path]

    def store(self, path: str, value: Any) -> None:
        """Set a parameter in the current take. Raises PermissionError if it is not part of it."""
        if self.take == MAIN:
            self.values[path] = value
            return
        if path not in self.takes[self.take] and not self.auto_take:
            raise _errors.PermissionError(f"{path} is not included in the take {self.take}.")
        self.takes[self.take][path] = value

    def expand(self, text: str, frame: float, node: str = "") -> str:
        """Expand variables and expressions; ``node`` is the path of the node that asks."""
        stem = os.path.splitext(os.path.basename(self.path))[0]
        own = {"HIP": os.path.dirname(self.path), "HIPFILE": self.path, "HIPNAME": stem}
        if node:
            own["OS"] = os.path.basename(node)

        def run(expression: str) -> str:
            return str(self.value(self.reference(expression, node), frame))

        return expand(text, frame, {**self.variables, **own}, run)

    def reference(self, expression: str, node: str) -> str:
        """Return the parameter that ``chs("path")`` means. Raises OperationFailed for others."""
        for function in ("chs", "ch"):
            if expression.startswith(f'{function}("') and expression.endswith('")'):
                path = expression[len(function) + 2 : -2]
                full = os.path.normpath(os.path.join(node, path))
                if full in self.values:
                    return full
        raise _errors.OperationFailed(f"Syntax error in expression: {expression}")

    def value(self, path: str, frame: float) -> Any:
        """Return a parameter's value, evaluated."""
        node = os.path.dirname(path)
        if path in self.expressions:
            return self.value(self.reference(self.expressions[path], node), frame)
        raw = self.raw(path)
        return self.expand(raw, frame, node) if isinstance(raw, str) else raw
