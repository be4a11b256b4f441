"""Shows light as Blender shows its scene: with the display, view and look, through OpenColorIO.

What Blender had is noted in each image (`farm_view` of the product blender). The configuration is
that of a Blender on this machine, or the studio's, and must be the very same: views of one name
differ from version to version.
"""

import hashlib
import json
import math
import os
import re
import struct
import threading
from dataclasses import dataclass
from functools import lru_cache

import farm_exr
import PyOpenColorIO as ocio
from farm_events import SceneError

_WIDE = re.compile(r"(?i)p3|2020|2100|2084|\bpq\b|hlg|hdr|xyz")
"""In the names of displays that have other primaries than films, or another curve."""
_MOST_STOPS = 32.0
_LEAST_GAMMA = 1e-6
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Look:
    """How an image is shown, as its note says.

    Attributes:
        look: "" for none.
        exposure: in stops.
        space: colour space of the image; "" for the one in which the configuration renders.
        besides: what else changes the picture, in words.
        whose: the configuration is, for people.
        config: SHA-256 of the configuration, in hexadecimal digits.
    """

    display: str
    view: str
    look: str
    exposure: float
    gamma: float
    space: str
    besides: "tuple[str, ...]"
    whose: str
    config: str


class SceneView:
    """Shows images of one film. May be used from several threads."""

    def __init__(self, configs: "list[str]") -> None:
        """Read nothing yet; ``configs``: paths of those that Blenders bring along."""
        self._configs = [path for path in (os.environ.get("OCIO", ""), *configs) if path]
        self._lock = threading.Lock()
        # Films have few looks, unless the exposure is animated.
        self._processor = lru_cache(maxsize=8)(self._made)

    def show(self, image: str, name: str, size: "tuple[int, int]", data: bytearray) -> None:
        """Change an image's pixels from light to what is seen.

        Parameters:
            image: the file; ``name``: what people call it.
            data: planes of floats: green, blue, red and whatever follows; changed in place.

        Raises:
            SceneError: it cannot be shown like this.
        """
        look = _noted(image, name)
        with self._lock:
            processor = self._processor(look, name)
        pixels = size[0] * size[1]
        floats = memoryview(data).cast("f")
        green, blue, red = (floats[at * pixels : (at + 1) * pixels] for at in range(3))
        processor.apply(ocio.PlanarImageDesc(red, green, blue, *size))

    def _made(self, look: Look, name: str) -> "ocio.CPUProcessor":
        _refuse(look, name)
        path = next((each for each in self._configs if _digest(each) == look.config), None)
        if path is None:
            raise SceneError(
                f"{name} is seen through the OpenColorIO configuration of {look.whose}, which the"
                " render machine does not have. Install it there, or leave 'view' out for plain"
                " sRGB.",
                False,
            )
        try:
            return _processor(ocio.Config.CreateFromFile(path), look)
        except ocio.Exception as error:
            raise SceneError(
                f"OpenColorIO cannot show {name} as its scene is shown:"
                f" {str(error).strip()[:_LONGEST_REASON].rstrip('.')}."
            ) from None


def differs(image: str, name: str) -> str:
    """Return a warning if an image's scene is shown otherwise than in plain sRGB; "" if not known.

    Parameters:
        image: the file; ``name``: what people call it.
    """
    try:
        look = _noted(image, name)
    except SceneError:
        return ""
    if (
        look.view == "Standard"
        and not (look.look or look.exposure or look.besides)
        and look.gamma == 1
    ):
        return ""
    return (
        f"Blender shows the scene of {name} with the view '{look.view}', but this film has plain"
        ' sRGB, in other colours. Submit it with view="SCENE" to have it look like the scene.'
    )


def _processor(config: "ocio.Config", look: Look) -> "ocio.CPUProcessor":
    """Return what changes pixels. Raises ocio.Exception."""
    space = look.space or config.getRoleColorSpace(ocio.ROLE_SCENE_LINEAR)
    pipeline = ocio.LegacyViewingPipeline()
    pipeline.setDisplayViewTransform(
        ocio.DisplayViewTransform(src=space, display=look.display, view=look.view)
    )
    light = 2.0**look.exposure
    pipeline.setLinearCC(ocio.MatrixTransform.Scale([light, light, light, 1.0]))
    if look.look:
        pipeline.setLooksOverride(look.look)
        pipeline.setLooksOverrideEnabled(True)
    if look.gamma != 1.0:
        power = 1.0 / max(_LEAST_GAMMA, look.gamma)
        pipeline.setDisplayCC(ocio.ExponentTransform(value=[power, power, power, 1.0]))
    return pipeline.getProcessor(config).getDefaultCPUProcessor()


def _noted(image: str, name: str) -> Look:
    """Return what an image says about how it is shown. Raises SceneError."""
    try:
        with open(image, "rb") as file:
            note = json.loads(farm_exr.read_layout(file).text(0, farm_exr.VIEW_NOTE.encode()))
        look = "" if note["look"] == "None" else str(note["look"])
        found = Look(
            *(str(note["display"]), str(note["view"]), look),
            *(float(note["exposure"]), float(note["gamma"]), str(note["space"])),
            tuple(map(str, note["besides"])),
            *(str(note["whose"]), str(note["config"])),
        )
        if abs(found.exposure) <= _MOST_STOPS and math.isfinite(found.gamma):
            return found
    except (ValueError, TypeError, LookupError, RecursionError, struct.error):
        pass
    raise SceneError(
        f"{name} does not say how its scene is shown, as OpenEXR images do that Blender has"
        " rendered on the farm. Leave 'view' out for plain sRGB."
    )


def _refuse(look: Look, name: str) -> None:
    """Refuse what a film cannot show. Raises SceneError."""
    if look.besides:
        raise SceneError(
            f"The scene of {name} is shown with {' and '.join(look.besides)}, which a film of"
            " OpenEXR images cannot have. Render them to PNG, or leave 'view' out for plain sRGB."
        )
    if _WIDE.search(look.display):
        raise SceneError(
            f"The scene of {name} is made for the display '{look.display}', whose colours a film"
            " does not have. Leave 'view' out for plain sRGB."
        )


def _digest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""
