"""The node types that the stand-in has, with the parameters that scripts of farms touch. [S]

Types, parameter names and defaults are those of Houdini 20.5 and of the renderers' plug-ins as far
as public pipeline code shows them; the real nodes have many more.
"""

from typing import Any

_RANGE = {"trange": 0, "f1": 1.0, "f2": 240.0, "f3": 1.0, "take": "_current_", "execute": 0}
_SOHO = {"soho_foreground": 0}
_CAMERA = {
    "camera": "/obj/cam1",
    "override_camerares": 0,
    "res_fraction": "0.5",
    "res_overridex": 1280,
    "res_overridey": 720,
}
_PICTURE = "$HIP/render/$HIPNAME.$OS.$F4.exr"
_GEOMETRY = "$HIP/geo/$HIPNAME.$OS.$F.bgeo.sc"


class Kind:
    """A node type: its category, default parameters, and how it renders."""

    def __init__(
        self, category: str, parms: "dict[str, Any]", output: str = "", renders: bool = True
    ) -> None:
        """``output`` names the parameter of the output path; ``renders``: has `render`."""
        self.category, self.parms, self.output = category, parms, output
        self.renders = renders and bool(output or category == "Driver")


KINDS: "dict[str, Kind]" = {
    "ifd": Kind(
        "Driver",
        {
            **_RANGE,
            **_SOHO,
            **_CAMERA,
            "vm_picture": _PICTURE,
            "vm_alfprogress": 0,
            "vm_samplesx": 3,
            "vm_dcmfilename": "",
            "soho_outputmode": 0,
            "soho_diskfile": "$HIP/ifds/$OS.$F.ifd",
        },
        "vm_picture",
    ),
    "arnold": Kind(
        "Driver",
        {
            **_RANGE,
            **_CAMERA,
            "ar_picture": _PICTURE,
            "ar_ass_export_enable": 0,
            "ar_ass_file": "$HIP/ass/$OS.$F.ass",
        },
        "ar_picture",
    ),
    "Redshift_ROP": Kind(
        "Driver",
        {
            **_RANGE,
            "RS_outputFileNamePrefix": _PICTURE,
            "RS_nonBlockingRendering": 1,
            "RS_archive_enable": 0,
            "RS_archive_file": "$HIP/rs/$OS.$F4.rs",
        },
        "RS_outputFileNamePrefix",
    ),
    "ris::3.0": Kind("Driver", {**_RANGE, "ri_display_0": _PICTURE}, "ri_display_0"),
    "vray_renderer": Kind(
        "Driver",
        {**_RANGE, "SettingsOutput_img_file_path": _PICTURE},
        "SettingsOutput_img_file_path",
    ),
    "karma": Kind("Driver", {**_RANGE, "picture": _PICTURE, "engine": "cpu"}, "picture"),
    "usdrender": Kind(
        "Driver",
        {**_RANGE, **_SOHO, "outputimage": _PICTURE, "renderer": "BRAY_HdKarma"},
        "outputimage",
    ),
    "geometry": Kind(
        "Driver",
        {**_RANGE, "sopoutput": _GEOMETRY, "alfprogress": 0, "initsim": 0},
        "sopoutput",
    ),
    "dop": Kind(
        "Driver",
        {**_RANGE, "dopoutput": "$HIP/sim/$OS.$F.sim", "alfprogress": 0},
        "dopoutput",
    ),
    "alembic": Kind("Driver", {**_RANGE, "filename": "$HIP/$OS.abc"}, "filename"),
    "merge": Kind("Driver", {}),
    "rop_geometry": Kind("Sop", {**_RANGE, "sopoutput": _GEOMETRY, "alfprogress": 0}, "sopoutput"),
    "filecache::2.0": Kind(
        "Sop",
        {**_RANGE, "file": _GEOMETRY, "filemethod": "constructed"},
        "file",
        renders=False,
    ),
    "cam": Kind("Object", {"resx": 64, "resy": 36, "tx": 0.0}),
    "geo": Kind("Object", {"tx": 0.0}),
    "file": Kind("Sop", {"file": ""}),
    "null": Kind("Sop", {}),
}

TUPLES = {
    "f": ("f1", "f2", "f3"),
    "res": ("resx", "resy"),
    "res_override": ("res_overridex", "res_overridey"),
}
"""Parameter tuples of more than one part."""

MANAGERS = {"/": "", "/out": "out", "/obj": "obj", "/stage": "stage", "/img": "img"}
"""Nodes of every scene."""

EXPORTS: "dict[str, tuple[str, str]]" = {
    "ifd": ("soho_outputmode", "soho_diskfile"),
    "arnold": ("ar_ass_export_enable", "ar_ass_file"),
    "Redshift_ROP": ("RS_archive_enable", "RS_archive_file"),
}
"""Type -> the switch for writing a scene description, and the parameter of its path."""

WAITING: "dict[str, int]" = {"soho_foreground": 1, "RS_nonBlockingRendering": 0}
"""Parameters that decide whether `render` waits, and their value when it does."""

FILE_PARMS = {"file", "filename", *(kind.output for kind in KINDS.values() if kind.output)}
"""Parameters that `hou.fileReferences` finds, when they are not empty."""


def kind_of(name: str) -> "Kind | None":
    """Return the type of that name; managers have none of interest."""
    return KINDS.get(name)
