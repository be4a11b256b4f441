"""Nodes, parameters, types and takes of the strict `hou`. [D] for names and signatures."""

import os
from typing import Any

from stand_ins_houdini import _errors, _render, _types
from stand_ins_houdini._scene import Scene


class Parm:
    """A parameter. Two of the same parameter are equal."""

    def __init__(self, scene: Scene, path: str) -> None:
        """Name a parameter that exists."""
        self._scene, self._path = scene, path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parm) and other._path == self._path

    def __hash__(self) -> int:
        return hash(self._path)

    def name(self) -> str:
        return os.path.basename(self._path)

    def path(self) -> str:
        return self._path

    def node(self) -> "Node":
        found: Node = node_at(self._scene, os.path.dirname(self._path))
        return found

    def eval(self) -> Any:
        return self._scene.value(self._path, self._scene.frame)

    def evalAtFrame(self, frame: float) -> Any:
        return self._scene.value(self._path, frame)

    def evalAsString(self) -> str:
        return str(self.eval())

    def evalAsStringAtFrame(self, frame: float) -> str:
        return str(self.evalAtFrame(frame))

    def evalAsInt(self) -> int:
        return int(self.eval())

    def rawValue(self) -> str:
        return str(self._scene.expressions.get(self._path, self._scene.raw(self._path)))

    def unexpandedString(self) -> str:
        raw = self._scene.raw(self._path)
        if not isinstance(raw, str) or self._path in self._scene.expressions:
            raise _errors.OperationFailed("Cannot get the unexpanded string of this parameter.")
        return raw

    def getReferencedParm(self) -> "Parm":
        expression = self._scene.expressions.get(self._path)
        if expression is None:
            return self
        try:
            target = self._scene.reference(expression, os.path.dirname(self._path))
        except _errors.OperationFailed:
            return self
        return Parm(self._scene, target).getReferencedParm()

    def isLocked(self) -> bool:
        return self._path in self._scene.locked

    def lock(self, on: bool) -> None:
        if on:
            self._scene.locked.add(self._path)
        else:
            self._scene.locked.discard(self._path)

    def deleteAllKeyframes(self) -> None:
        self._scene.expressions.pop(self._path, None)

    def set(self, value: Any) -> None:
        """Strict about types, locks and takes; what an expression hides stays hidden (ours)."""
        if self.isLocked():
            raise _errors.PermissionError(f"{self._path} is locked.")
        current = self._scene.raw(self._path)
        wanted = str if isinstance(current, str) else (int, float)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise TypeError(f"Cannot set {self._path} to a value of type {type(value).__name__}")
        if isinstance(current, int) and not isinstance(value, int):
            value = int(value)
        self._scene.store(self._path, value)

    def pressButton(self) -> None:
        """Only ``execute`` does anything: it renders the range beside it."""
        node = self.node()
        if self.name() == "execute":
            beside = f"{node.path()}/"
            first, last, step = (
                int(Parm(self._scene, beside + name).eval()) for name in ("f1", "f2", "f3")
            )
            if not Parm(self._scene, beside + "trange").eval():
                first = last = int(self._scene.frame)
            _render.render(self._scene, node, (first, last, step), verbose=False)


class ParmTuple:
    """Parameters that belong together; also a single one is a tuple of itself."""

    def __init__(self, parms: "list[Parm]") -> None:
        """Keep them in order."""
        self._parms = parms

    def __len__(self) -> int:
        return len(self._parms)

    def __getitem__(self, index: int) -> Parm:
        return self._parms[index]

    def eval(self) -> "tuple[Any, ...]":
        return tuple(parm.eval() for parm in self._parms)

    def set(self, values: Any) -> None:
        if len(values) != len(self._parms):
            raise _errors.InvalidInput("Wrong number of values.")
        for parm, value in zip(self._parms, values):  # noqa: B905 - Python 3.7
            parm.set(value)


class NodeTypeCategory:
    """Driver, Sop, Object ..."""

    def __init__(self, name: str) -> None:
        """Keep the name."""
        self._name = name

    def name(self) -> str:
        return self._name


class NodeType:
    """A type, named ``namespace::name::version``."""

    def __init__(self, name: str) -> None:
        """Keep the full name."""
        self._name = name

    def name(self) -> str:
        return self._name

    def nameComponents(self) -> "tuple[str, str, str, str]":
        """Return (scope, namespace, name, version)."""
        parts = self._name.split("::")
        version = parts.pop() if len(parts) > 1 and parts[-1][:1].isdigit() else ""
        return "", "::".join(parts[:-1]), parts[-1], version

    def category(self) -> NodeTypeCategory:
        kind = _types.kind_of(self._name)
        return NodeTypeCategory(kind.category if kind else "Manager")


class Node:
    """A node that does not render by itself."""

    def __init__(self, scene: Scene, path: str) -> None:
        """Name a node that exists."""
        self._scene, self._path = scene, path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and other._path == self._path

    def __hash__(self) -> int:
        return hash(self._path)

    def name(self) -> str:
        return os.path.basename(self._path)

    def path(self) -> str:
        return self._path

    def type(self) -> NodeType:
        return NodeType(self._scene.nodes[self._path]["type"])

    def parent(self) -> "Node | None":
        return None if self._path == "/" else node_at(self._scene, os.path.dirname(self._path))

    def parm(self, name: str) -> "Parm | None":
        return parm_at(self._scene, f"{self._path}/{name}")

    def parmTuple(self, name: str) -> "ParmTuple | None":
        return parm_tuple_at(self._scene, f"{self._path}/{name}")

    def inputs(self) -> "tuple[Node | None, ...]":
        paths = self._scene.nodes[self._path].get("inputs", [])
        return tuple(node_at(self._scene, path) for path in paths)

    def errors(self) -> "tuple[str, ...]":
        return tuple(self._scene.errors.get(self._path, ()))

    def children(self) -> "tuple[Node, ...]":
        found = [path for path in self._scene.nodes if path != "/"]
        return tuple(node_at(self._scene, p) for p in found if os.path.dirname(p) == self._path)

    def allSubChildren(
        self, top_down: bool = True, recurse_in_locked_nodes: bool = True
    ) -> "tuple[Node, ...]":
        found = []
        for child in self.children():
            found += [child, *child.allSubChildren()]
        return tuple(found)


class RopNode(Node):
    """A node that renders."""

    def render(
        self,
        frame_range: "tuple[float, ...]" = (),
        res: "tuple[int, ...]" = (),
        output_file: "str | None" = None,
        output_format: "str | None" = None,
        to_flipbook: bool = False,
        quality: int = 2,
        ignore_inputs: bool = False,
        method: Any = None,
        ignore_bypass_flags: bool = False,
        ignore_lock_flags: bool = False,
        verbose: bool = False,
        output_progress: bool = False,
    ) -> None:
        """Render. Without ``ignore_inputs`` the inputs first, over the same frames."""
        if len(frame_range) not in (0, 2, 3):
            raise _errors.InvalidInput("Invalid frame range.")
        frames = tuple(frame_range) or (self._scene.frame, self._scene.frame)
        for node in () if ignore_inputs else self.inputs():
            if isinstance(node, RopNode):
                node.render(frame_range, verbose=verbose)
        _render.render(self._scene, self, (*frames, 1)[:3], verbose)

    def addRenderEventCallback(self, callback: Any, run_before_script: bool = False) -> None:
        self._scene.callbacks.setdefault(self._path, []).append(callback)


class Take:
    """A take; all but the main one are children of it."""

    def __init__(self, scene: Scene, name: str) -> None:
        """Name a take that exists."""
        self._scene, self._name = scene, name

    def name(self) -> str:
        return self._name

    def children(self) -> "tuple[Take, ...]":
        names = list(self._scene.takes) if self._name == "Main" else []
        return tuple(Take(self._scene, name) for name in names if name != self._name)


def node_at(scene: Scene, path: str) -> Any:
    """Return the node; None when there is none."""
    path = path.rstrip("/") or "/"
    if path not in scene.nodes:
        return None
    kind = _types.kind_of(scene.nodes[path]["type"])
    return (RopNode if kind is not None and kind.renders else Node)(scene, path)


def parm_at(scene: Scene, path: str) -> "Parm | None":
    """Return the parameter; None when there is none."""
    return Parm(scene, path) if path in scene.values else None


def parm_tuple_at(scene: Scene, path: str) -> "ParmTuple | None":
    """Return the parameter tuple; None when there is none."""
    node, name = os.path.split(path)
    parts = [f"{node}/{part}" for part in _types.TUPLES.get(name, (name,))]
    if all(part in scene.values for part in parts):
        return ParmTuple([Parm(scene, part) for part in parts])
    return None
