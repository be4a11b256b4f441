"""The pictures in OpenEXR images: layers and views, of one part or of several.

Blender calls its picture "ViewLayer.Combined". A view is what one eye sees. Programs write both as
parts of a file, as parts of channels' names, or as a mixture: the pictures are the same.
"""

import struct
from typing import NamedTuple

import farm_exr
from farm_events import SceneError

_COMBINED = "Combined"
"""Blender's name for the picture itself, as a layer."""
_SHOWN = 12


class Picture(NamedTuple):
    """One picture in an image.

    Attributes:
        part: of the file.
        prefix: of its channels R, G and B; "" without one.
        layer: "" for the picture itself.
        view: "" without one.
        has_alpha: there is a channel A as well.
    """

    part: int
    prefix: str
    layer: str
    view: str
    has_alpha: bool

    @property
    def reading(self) -> "list[str]":
        """Return FFmpeg's arguments for reading it from its part alone."""
        return ["-layer", self.prefix] if self.prefix else []


class Pictures(NamedTuple):
    """The pictures in an image, and how many parts its file has."""

    all: "list[Picture]"
    parts: int


def pictures_in(path: str) -> Pictures:
    """Return the pictures in an OpenEXR image; none where it cannot be understood.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            layout = farm_exr.read_layout(file)
        parts = range(len(layout.headers))
        found = [each for part in parts for each in _of_part(layout, part)]
    except (ValueError, struct.error):
        return Pictures([], 1)
    return Pictures(found, len(parts))


def _of_part(layout: farm_exr.Layout, part: int) -> "list[Picture]":
    if layout.is_deep(part):
        return []
    channels = set(layout.channels(part))
    views = layout.texts(part, b"multiView")
    name, view = layout.text(part, b"name"), layout.text(part, b"view")
    found = []
    for prefix in sorted({channel.rpartition(".")[0] for channel in channels}):
        start = f"{prefix}." if prefix else ""
        if channels >= {f"{start}{each}" for each in "RGB"}:
            layer, of = prefix, view
            before, _, last = prefix.rpartition(".")
            if not view and last in views:
                layer, of = before, last
            elif not view and views and not prefix:
                # The first view's channels may go without its name.
                of = views[0]
            elif not prefix and len(layout.headers) > 1:
                layer = "" if name == view else _without(name, view)
            found.append(Picture(part, prefix, layer, of, f"{start}A" in channels))
    return found


def _without(name: str, view: str) -> str:
    """Return a part's name without its view: ``ViewLayer.Combined-left``."""
    ending = name[-len(view) - 1 :]
    return name[: -len(ending)] if view and ending[1:] == view and ending[0] in "-._" else name


def choose(found: Pictures, layer: str, view: str, name: str) -> Picture:
    """Return the picture that a film shows.

    Parameters:
        layer: "" for the picture itself.
        view: "" for the first one.
        name: of the image, for people.

    Raises:
        SceneError: there is none, or several and none is the picture itself.
    """
    layers = list(dict.fromkeys(each.layer for each in found.all))
    fitting = [each for each in found.all if layer in (each.layer, each.prefix)]
    if layer and not fitting:
        raise SceneError(f"{name} has no layer '{layer}'. It has: {_listed(layers)}.")
    if not layer and not fitting:
        combined = [each for each in layers if each.rpartition(".")[2] == _COMBINED]
        # What other programs write into the first part is the picture, too.
        first = [each.layer for each in found.all if (each.part, each.prefix) == (0, "")]
        chosen = first or combined or layers
        if len(chosen) > 1:
            raise SceneError(
                f"{name} has several layers: {_listed(layers)}. Set 'layer' to one of them."
            )
        fitting = [each for each in found.all if each.layer in chosen]
    if not fitting:
        raise SceneError(f"{name} has no layer with colours.")
    views = list(dict.fromkeys(each.view for each in fitting))
    if view and view not in views:
        raise SceneError(f"{name} has no view '{view}'. It has: {_listed_views(views)}.")
    return next(each for each in fitting if each.view == (view or views[0]))


def _listed(layers: "list[str]") -> str:
    return ", ".join(f"'{each}'" for each in layers[:_SHOWN]) or "none with colours"


def _listed_views(views: "list[str]") -> str:
    return ", ".join(f"'{each}'" for each in views[:_SHOWN] if each) or "no views"
