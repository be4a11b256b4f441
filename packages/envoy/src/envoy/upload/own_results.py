"""Results that Envoy itself has downloaded into a project are not files of that project.

A folder that is added as a whole may hold the frames of earlier submissions; sending them again
with every submission would cost more than the render.
"""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from envoy.journal import Journal, UploadFile


def without_own_results(
    files: Sequence[UploadFile], roots: Collection[Path], named: Collection[str], journal: Journal
) -> list[UploadFile]:
    """Return ``files`` without those that Envoy wrote and that are unchanged since.

    Parameters:
        roots: local folders that contain the files.
        named: local paths that are sent in any case, since somebody named them.
    """
    results: dict[str, int] = {}
    for folder in {Path(folder) for folder in journal.downloads.folders()}:
        if any(folder.is_relative_to(root) or root.is_relative_to(folder) for root in roots):
            for relative, mtime_ns in journal.downloads.written(str(folder)).items():
                results[str(folder / relative)] = mtime_ns
    if not results:
        return list(files)
    return [
        file
        for file in files
        if file.local in named or not _is_unchanged(file.local, results.get(file.local))
    ]


def _is_unchanged(path: str, written_mtime_ns: int | None) -> bool:
    return written_mtime_ns is not None and os.stat(path).st_mtime_ns == written_mtime_ns  # noqa: PTH116
