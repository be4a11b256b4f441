"""Small scenes for the stand-ins, 32x24 pixels and frames 1 to 10; and finding what they drew."""

from pathlib import Path

from stand_ins._common import FORMATS

SIZE = (32, 24)
"""(width, height) of the scenes, in pixels."""

_NUKE = """\
#! /usr/local/Nuke15.1v3/Nuke15.1 -nx
version 15.1 v3
define_window_layout_xml {<?xml version="1.0"?> <layout {} />}
Root {
 inputs 0
 format "32 24 0 0 32 24 1 small"
 first_frame 1
 last_frame 10
}
CheckerBoard2 {
 inputs 0
 name Checker1
}
set N1 [stack 0]
Write {
 file "\\[file dirname \\[value root.name]]/out/a.%04d.png"
 file_type png
 create_directories true
 name Write1
}
push $N1
Write {
 file out/b.####.exr
 create_directories true
 name Write2
}
push $N1
Write {
 file out/c.%04d.exr
 name Disabled
 disable true
}
"""

_MAYA = """\
//Maya ASCII 2025ff07 scene
requires maya "2025ff07";
createNode transform -s -n "persp";
createNode camera -s -n "perspShape" -p "persp";
\tsetAttr -k off ".v" no;
createNode transform -n "close";
createNode camera -n "closeShape" -p "close";
\tsetAttr ".rnd" no;
select -ne :defaultRenderGlobals;
\tsetAttr ".ren" -type "string" "arnold";
\tsetAttr ".fs" 1;
\tsetAttr ".ef" 10;
setAttr "defaultResolution.width" 32;
setAttr "defaultResolution.height" 24;
"""

_C4D = """\
QC4DC4D6
resolution = 32 24
frames = 1 10 1
take = close
pass = diffuse
"""

_VRAY = """\
// V-Ray scene
SettingsOutput output {
  img_width=32;
  img_height=24;
  img_file="scene.png"; // beside the scene when nothing else is said
}
RenderView view@cam {
  fov=0.785398;
  transform=Transform(Matrix(Vector(1, 0, 0), Vector(0, 1, 0), Vector(0, 0, 1)), Vector(0, 0, 0));
}
"""

_SCENES = {
    "nuke": ("scene.nk", "#", _NUKE),
    "maya": ("scene.ma", "//", _MAYA),
    "c4d": ("scene.c4d", "#", _C4D),
    "vray": ("scene.vrscene", "//", _VRAY),
}
"""Product -> file name, comment sign, text."""


def write_scene(folder: Path, product: str, *orders: str, extra: str = "") -> Path:
    """Write a product's scene.

    Parameters:
        orders: test orders, such as ``fail-at 3``; see `stand_ins._common.Orders`.
        extra: what else the scene shall hold, in its language; put at its end.

    Returns:
        the scene's path in the folder.
    """
    name, sign, text = _SCENES[product]
    comments = "".join(f"{sign} stand-in: {order}\n" for order in orders)
    path = folder / name
    path.write_text(f"{text}{comments}{extra}")
    return path


def images(folder: Path) -> list[str]:
    """Return the images anywhere below a folder: their paths in it, sorted."""
    found = (path for path in folder.rglob("*") if path.suffix[1:] in FORMATS)
    return sorted(str(path.relative_to(folder)) for path in found)
