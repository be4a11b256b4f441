"""Which files the geometry nodes of a .blend import, which blender-asset-tracer does not see."""

from collections.abc import Iterator
from typing import Any

_NODES = b"GeometryNodeImport"
"""How the names of these nodes begin; Blender has them since 4.5."""
_PATH = b"NodeSocketStringFilePath"


def imports(opened: Any) -> Iterator[tuple[Any, bytes]]:
    """Yield the groups of nodes that import files, and the files' paths as they are written.

    Paths that other nodes make, or a modifier's inputs, are not seen.

    Parameters:
        opened: a `blender_asset_tracer.blendfile.BlendFile`.
    """
    for tree in opened.find_blocks_from_code(b"NT"):
        for node in listed(tree, b"nodes"):
            if node[b"idname"].startswith(_NODES):
                for socket in listed(node, b"inputs"):
                    value = socket.get_pointer(b"default_value")
                    is_path = socket[b"idname"] == _PATH and not socket.get(b"link", 0)
                    if is_path and value is not None and (path := value[b"value"]):
                        yield tree, path


def listed(block: Any, name: bytes) -> Iterator[Any]:
    """Yield the items of a list, which may be circular in a hostile file."""
    passed: set[int] = set()
    each = block.get_pointer((name, b"first"))
    while each is not None and each.addr_old not in passed:
        passed.add(each.addr_old)
        yield each
        each = each.get_pointer(b"next")
