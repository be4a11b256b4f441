"""Which material slots the faces of a mesh in a .blend have, determined without Blender."""

import sys
from array import array
from typing import Any

_NAME = b"material_index"
_ATTRIBUTE_VERSION = 400
"""Since Blender 4.0 it is an attribute of the mesh; without one, all faces have the first slot."""
_FACES = 25
"""The type of a layer of ``MPoly``: 12 bytes each, of which the ninth and tenth are the slot."""


def slots_of(mesh: Any) -> "set[int] | None":
    """Return the indices of the slots that some face has; None: not known.

    Parameters:
        mesh: its block, of a `blender_asset_tracer.blendfile.BlendFile`.
    """
    count = mesh.get(b"totpoly", 0)
    if not count:
        return None
    for name, kind, data in _layers(mesh):
        if name == _NAME:
            return _numbers(mesh, data, "i", 4 * count, 1)
        if kind == _FACES:
            return _numbers(mesh, data, "h", 12 * count, 6, 4)
    return {0} if mesh.bfile.header.version >= _ATTRIBUTE_VERSION else None


def _numbers(
    mesh: Any, data: Any, kind: str, size: int, step: int, start: int = 0
) -> "set[int] | None":
    if data is None or mesh.bfile.header.endian_str != b"<":
        return None
    found = array(kind, data.raw_data()[:size])
    if len(found) * found.itemsize < size:
        return None
    if sys.byteorder == "big":
        found.byteswap()
    return set(found[start::step])


def _layers(mesh: Any) -> "list[tuple[bytes, int, Any]]":
    """Return the name, kind and data of what a mesh's faces have."""
    found = []
    if mesh.has_field(b"attribute_storage"):  # used since Blender 5.0
        table = mesh.get_pointer((b"attribute_storage", b"dna_attributes"))
        for at in range(table.count if table is not None else 0):
            name = _pointed(mesh, table.get(b"name", array_index=at))
            stored = _pointed(mesh, table.get(b"data", array_index=at))
            if name is not None and stored is not None and stored.has_field(b"data"):
                found.append((name.as_bytes_string(), 0, stored.get_pointer(b"data")))
    table = mesh.get_pointer((b"pdata", b"layers"))
    for at in range(table.count if table is not None else 0):
        data = _pointed(mesh, table.get(b"data", array_index=at))
        found.append((table.get(b"name", array_index=at), table.get(b"type", array_index=at), data))
    return found


def _pointed(mesh: Any, address: int) -> Any:
    return mesh.bfile.dereference_pointer(address) if address else None
