"""V-Ray scenes: adapts a job's parameters to this machine. Pure text work, no V-Ray.

Scenes may be gigabytes large: they are searched, not parsed.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from farm.products import SceneError, SceneFiles

_SAMPLER = b"SettingsImageSampler"
_INCLUDE = b"#include"
"""Includes another file in a scene."""

_CHUNK_BYTES = 1 << 20
_MOST_REMAP_BYTES = 64 << 20


def read_scene(scene: Path, partial: Path, values: Mapping[str, str]) -> SceneFiles:
    """Return the parameters for V-Ray that replace a job's.

    A remap file uses remote paths, as jobs do; V-Ray gets a copy with local paths.

    Parameters:
        values: ``remap_file``, ``sampling_type``, and the runner's ``ProjectFolder``.

    Raises:
        SceneError: the remap file is invalid, or the scene has nothing to which the sampling type
            applies.
        OSError: a file cannot be read.
    """
    if values["sampling_type"] and not _holds(scene, (_SAMPLER, _INCLUDE)):
        raise SceneError(
            f"{scene.name} has no {_SAMPLER.decode()}, which sampling_type would change."
            " Leave sampling_type out, or save the scene with its settings."
        )
    if not (remap := values["remap_file"]):
        return SceneFiles(scene, {}, None)
    return SceneFiles(scene, {}, None, copied="remap_file", text=_local(remap, values))


def _holds(path: Path, words: Sequence[bytes]) -> bool:
    """Return whether a file contains one of the words."""
    overlap = max(map(len, words)) - 1
    before = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if any(word in before + chunk for word in words):
                return True
            before = chunk[-overlap:]
    return False


def _local(remap: str, values: Mapping[str, str]) -> str:
    """Return the text of a remap file with local paths."""
    project = Path(values["ProjectFolder"])
    source = project / remap
    if source.stat().st_size > _MOST_REMAP_BYTES:
        raise SceneError(
            f"{remap} is larger than {_MOST_REMAP_BYTES >> 20} MB, which is too large for a remap"
            " file."
        )
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SceneError(f"{remap} is not a remap file: it is not text in UTF-8.") from None
    if not re.search(r"<RemapPaths\b", text):
        raise SceneError(
            f"{remap} is not a remap file: it must hold RemapPaths/RemapItem with From and To."
        )
    # Whole names: /show/textures is not a path of the project "sh".
    name = re.escape(escape(remap.split("/")[0]))
    paths = re.compile(rf"<To>\s*/?(?P<path>{name}(?:/[^<]*)?)</To>")
    return paths.sub(
        lambda found: f"<To>{escape(str(project))}/{found['path'].rstrip()}</To>", text
    )
