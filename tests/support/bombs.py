"""Scenes that expand without end, and who notices what they write."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import zstandard

MB = 1024**2


def make_bomb(path: Path) -> Path:
    """Write a .blend of some 20 kB that expands to 640 MB; returns its path."""
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as writer:
        writer.write(b"BLENDER-v304DATA")
        for _ in range(640):
            writer.write(bytes(MB))
    assert path.stat().st_size < MB // 4
    return path


class Largest:
    """The most bytes that lie in a folder, as far as somebody who always looks can tell."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._over, self.bytes = folder, threading.Event(), 0
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(0.005):
            with os.scandir(self._folder) as entries:
                inside = [each for entry in entries for each in _files(Path(entry.path))]
            self.bytes = max(self.bytes, sum(inside))

    def __enter__(self) -> "Largest":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def _files(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            yield path.stat().st_size
        except OSError:
            continue
