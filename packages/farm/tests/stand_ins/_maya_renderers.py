"""What the Render command's renderers take, and what they say."""

from dataclasses import dataclass

COMMON = {
    "-proj": str,
    "-log": str,
    "-rd": str,
    "-im": str,
    "-of": str,
    "-fnc": str,
    "-pad": int,
    "-s": float,
    "-e": float,
    "-b": float,
    "-cam": str,
    "-rl": str,
    "-x": int,
    "-y": int,
    "-percentRes": float,
    "-skipExistingFrames": bool,
    "-preRender": str,
    "-postRender": str,
}
"""Flag -> kind of its value, for all renderers [D]."""


@dataclass(frozen=True)
class RendererTalk:
    """A renderer of Maya.

    Attributes:
        flags: its own flags -> kinds of their values.
        formats: value of ``-of`` -> file extension.
        progress: line after a half and after all of a frame, with ``{percent}``.
        written: line when a file is there, with ``{path}``.
        failed: lines when a frame cannot be rendered.
        licence: lines when there is no licence.
    """

    flags: dict[str, type]
    formats: dict[str, str]
    progress: str
    written: str
    failed: tuple[str, ...]
    licence: tuple[str, ...]


_MAYA_FORMATS = {"iff": "iff", "tif": "tif", "jpg": "jpg", "jpeg": "jpg", "png": "png"}

RENDERERS = {
    # [PROGRESS], (kFailure) [S]; which of the renderers says them, and the licence's line, [C].
    "sw": RendererTalk(
        flags={"-n": int},
        formats={**_MAYA_FORMATS, "tga": "tga", "exr": "exr"},
        progress="[PROGRESS] {percent} percent",
        written="Finished Rendering {path}",
        failed=("Error: (kFailure): Unexpected Internal Failure",),
        licence=("Error: Could not obtain a license for Autodesk Maya",),
    ),
    # `N% done`, `[mtoa] Failed batch render` [S], the licence's line [C].
    "arnold": RendererTalk(
        flags={"-ai:lve": int, "-ai:threads": int, "-ai:aerr": bool, "-ai:device": str},
        formats={"exr": "exr", "tif": "tif", "jpeg": "jpg", "jpg": "jpg", "png": "png"},
        progress="00:00:01   512MB         |    {percent}% done - 4 rays/pixel",
        written="00:00:01   512MB         | [driver] writing file `{path}'",
        failed=(
            "00:00:01   512MB ERROR   | [mtoa] render terminated early",
            "[mtoa] Failed batch render",
        ),
        licence=(
            "00:00:00    80MB ERROR   | [clm] Could not obtain a license for Arnold",
            "[mtoa] Failed batch render",
        ),
    ),
    # [S], as of V-Ray Standalone.
    "vray": RendererTalk(
        flags={"-threads": int, "-rep": bool, "-low": bool},
        formats={"exr": "exr", "png": "png", "jpg": "jpg", "jpeg": "jpg", "tif": "tif"},
        progress="V-Ray : Rendering image...: {percent}.0%",
        written='V-Ray : Successfully written image file "{path}"',
        failed=("V-Ray : error: Rendering was aborted",),
        licence=("V-Ray : error: Could not obtain a license (-88).",),
    ),
    # `Frame rendering aborted`, `License error` [S], the others [C].
    "redshift": RendererTalk(
        flags={"-gpu": str, "-logLevel": int},
        formats={"exr": "exr", "png": "png", "jpg": "jpg", "tif": "tif", "tga": "tga"},
        progress="[Redshift] [PROGRESS] {percent} percent",
        written="[Redshift] Saved file '{path}' in 0.01s",
        failed=("[Redshift] Frame rendering aborted.",),
        licence=("[Redshift] License error: (RLM) License checkout failed",),
    ),
    # R90000 and {SEVERE} [S].
    "renderman": RendererTalk(
        flags={"-t": int},
        formats={"exr": "exr", "openexr": "exr", "tif": "tif", "tiff": "tif", "png": "png"},
        progress="R90000    {percent}%",
        written="R90001    {path}",
        failed=("T02003 {SEVERE} render stopped", "Error: (kFailure): Unexpected Internal Failure"),
        licence=("S05026 {SEVERE} License is not available.",),
    ),
}
"""Value of ``-r`` -> the renderer."""

OF_SCENE = {"mayaSoftware": "sw"}
"""Value of a scene's ``currentRenderer`` -> value of ``-r``, where they differ."""
