"""Which files of image sequences the frames of a job show.

Where one is missing Blender shows magenta, or nothing, and exits with 0.
"""

import os
from collections.abc import Collection, Iterator
from typing import Any

import bpy
from farm_sequence import sequence_of


def shown(frames: "Collection[int]") -> "Iterator[tuple[Any, str]]":
    """Yield the images and absolute paths of files of sequences that these frames show."""
    for image, wanted, there in _sequences(frames):
        for path in sorted(wanted & there):
            yield image, os.path.normpath(path)


def missing(frames: "Collection[int]") -> "Iterator[tuple[Any, str]]":
    """Yield the images and absolute paths of files that these frames show, and that are not there.

    Sequences of which nothing is there are not looked at. Nor are frames outside of a sequence's
    own, for which each part of Blender does something else.
    """
    for image, wanted, there in _sequences(frames):
        if not wanted.isdisjoint(there):
            for lacking in sorted(wanted - there):
                yield image, os.path.normpath(lacking)


def _sequences(frames: "Collection[int]") -> "Iterator[tuple[Any, set[str], set[str]]]":
    """Yield each image, which files of it are shown, and which there are."""
    for image, user in _users():
        path = os.path.normpath(bpy.path.abspath(image.filepath, library=image.library))
        sequence, folder = sequence_of(path.replace(os.sep, "/")), os.path.dirname(path)
        if sequence is None or not os.path.isdir(folder):
            continue
        there = {sequence.folder + name for name in os.listdir(folder)}
        yield image, {sequence.path(number) for number in _numbers(user, frames)}, there


def _users() -> "Iterator[tuple[Any, Any]]":
    """Yield images that are sequences, and what says which of their files is shown."""
    trees = [*bpy.data.node_groups]
    for block in [*bpy.data.materials, *bpy.data.worlds, *bpy.data.lights, *bpy.data.scenes]:
        # In Blender 5 a scene has a group instead.
        trees.append(getattr(block, "node_tree", None))
    holders = [node for tree in trees if tree is not None for node in tree.nodes]
    for holder in [*holders, *bpy.data.textures]:
        image = getattr(holder, "image", None)
        # The compositor's nodes say it themselves.
        user = getattr(holder, "image_user", holder)
        if (
            isinstance(image, bpy.types.Image)
            and image.source == "SEQUENCE"
            and not (image.packed_file or image.packed_files)
            and getattr(user, "use_auto_refresh", False)
        ):
            yield image, user


def _numbers(user: Any, frames: "Collection[int]") -> "set[int]":
    length = user.frame_duration
    found = set()
    for frame in frames:
        position = frame - user.frame_start
        if user.use_cyclic and length:
            position %= length
        if 0 <= position < length:
            found.add(position + 1 + user.frame_offset)
    return found
