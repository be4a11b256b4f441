"""Which files may be gathered for a scene: those that its program would really show.

A scene may come from anywhere, and can name any file. Nothing but a picture is taken for a picture,
whatever its name: a file is taken only if both its extension and its first bytes, as checked by
`heads`, are those of the kind. So a scene gets nothing that it would not show when its artist
renders it.
"""

import os
import re
import stat
from collections.abc import Mapping

from envoy.gather.heads import (
    HEAD_BYTES,
    Check,
    any_of,
    begins,
    is_aiff,
    is_blend,
    is_bmp,
    is_box,
    is_csv,
    is_mdd,
    is_obj,
    is_outline,
    is_packed_blend,
    is_packed_mesh,
    is_riff,
    is_sgi,
    is_stl,
    is_targa,
    is_transport,
    is_uni,
    is_usdz,
)

LIBRARY = "library"
"""The tracer's kind for a .blend."""
CACHE = "cache"
CACHE_FOLDER = "cache folder"
"""A file in the folder of a cache, under a name that `caches` knows. Not one of the tracer's kinds.
"""
_LIBRARY_NAME = re.compile(r".+\.blend(?:\d{0,3}|\.gz)")
"""Extensions that Blender accepts, including its own backups (.blend1)."""


def _table(kinds: Mapping[tuple[str, ...], Check]) -> dict[str, Check]:
    """Return a check for each extension, given groups that share one."""
    return {ending: check for endings, check in kinds.items() for ending in endings}


_OPEN_EXR = begins(b"\x76\x2f\x31\x01")
_PICTURE = any_of(
    begins(
        *(b"\x89PNG\r\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        *(b"#?RADIANCE", b"#?RGBE", b"SDPX", b"XPDS", b"\x80\x2a\x5f\xd7", b"\xd7\x5f\x2a\x80"),
        *(b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51", b"8BPS\0", b"DDS \x7c\0\0\0"),
        *(b"GIF87a", b"GIF89a"),
    ),
    *(_OPEN_EXR, is_bmp, is_sgi, is_riff(b"WEBP")),
)
_FILM = any_of(
    begins(
        *(b"\x1a\x45\xdf\xa3", b"OggS\0", b"\0\0\1\xba", b"\0\0\1\xb3", b"FLV\1"),
        *(b"\x06\x0e\x2b\x34", b"\x1f\x07\0", b"\x30\x26\xb2\x75"),
    ),
    *(is_box, is_transport, is_riff(b"AVI ")),
)
_NOISE = any_of(
    begins(
        *(b"fLaC", b"OggS\0", b"ID3", b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2"),
        *(b"\xff\xf1", b"\xff\xf9", b".snd", b"\x0b\x77", b"\x30\x26\xb2\x75"),
        *(b"\xff\xfd", b"\xff\xfc", b"\xff\xf5", b"\xff\xf4", b"\x1a\x45\xdf\xa3"),
    ),
    *(is_aiff, is_box, is_riff(b"WAVE")),
)

# Extensions often misstate the real format of a picture, and Blender does not mind.
_PICTURES = _table(
    {
        (
            *("png", "jpg", "jpeg", "tif", "tiff", "tx", "exr", "hdr", "bmp", "dpx", "cin", "jp2"),
            *("j2c", "j2k", "sgi", "rgb", "rgba", "bw", "psd", "dds", "gif", "webp"),
        ): _PICTURE,
        ("tga",): any_of(_PICTURE, is_targa),
    }
)
_FILMS = _table(
    {
        (
            *("mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "m2v", "ogv", "ogg", "flv"),
            *("mxf", "dv", "wmv", "ts", "mts", "m2ts", "vob"),
        ): _FILM
    }
)
_SOUNDS = _table(
    {
        (
            *("wav", "mp3", "flac", "ogg", "oga", "opus", "aif", "aiff", "aac", "m4a", "ac3"),
            *("wma", "au", "mka", "mp2"),
        ): _NOISE
    }
)
_FONTS = _table(
    {
        ("ttf", "otf", "ttc", "otc", "woff", "woff2", "pfb", "pfa"): any_of(
            is_outline,
            begins(b"ttcf", b"wOFF", b"wOF2", b"\x80\x01", b"%!PS-AdobeFont", b"%!FontType"),
            begins(b"%!PS-Adobe-3.0 Resource-Font"),
        )
    }
)
_VOLUMES = _table({("vdb",): begins(b" BDV")})
_POINTS = _table({("bphys",): begins(b"BPHYSICS")})
_CACHES = _table(
    {
        ("abc",): begins(b"Ogawa", b"\x89HDF\r\n"),
        ("usd", "usdc", "usda"): begins(b"PXR-USDC", b"#usda"),
        ("usdz",): is_usdz,
        ("pc2",): begins(b"POINTCACHE2"),
        ("mdd",): is_mdd,
    }
)
_FRAMES_OF_CACHES = _table(
    {
        ("exr",): _OPEN_EXR,
        ("uni",): is_uni,
        ("gz",): is_packed_mesh,
        ("obj",): begins(b"o MantaMesh"),
    }
)
_IMPORTED = _table(
    {("ply",): begins(b"ply\n", b"ply\r"), ("stl",): is_stl, ("obj",): is_obj, ("csv",): is_csv}
)
_LIGHTS = _table(
    {("ies",): any_of(begins(b"IESNA", b"TILT="), lambda head: b"\nTILT=" in head)},
)

_KINDS: Mapping[str, Mapping[str, Check]] = {
    "image": _PICTURES | _FILMS,
    "font": _FONTS,
    "sound": _SOUNDS | _FILMS,
    "movie clip": _PICTURES | _FILMS,
    "strip": _PICTURES | _FILMS | _SOUNDS,
    "volume": _VOLUMES,
    "light profile": _LIGHTS,
    # Not texts: any secret is one.
    "imported file": _IMPORTED | _VOLUMES,
    CACHE: _CACHES | _POINTS | _VOLUMES,
    CACHE_FOLDER: _FRAMES_OF_CACHES | _POINTS | _VOLUMES,
}
"""By `farm.scenes.usages.AssetKind`, then by extension."""


def is_of_kind(path: str, kind: str) -> bool:
    """Return whether a file is of the kind that a scene expects. Raises OSError as `open` does.

    Parameters:
        kind: the tracer's kind of reference, or `CACHE_FOLDER`.
    """
    name = os.path.basename(path).lower()
    check: Check | None
    if kind == LIBRARY:
        check = is_blend if _LIBRARY_NAME.fullmatch(name) else None
        check = is_packed_blend if check and name.endswith(".gz") else check
    else:
        check = _KINDS.get(kind, {}).get(name.rpartition(".")[2])
    return check is not None and check(_head(path))


def may_be_scene(path: str) -> bool:
    """Return whether a file that somebody submits may be a .blend. Raises OSError as `open` does.

    Its name need not be one that Blender would give: it is sent anyway.
    """
    return ".blend" in os.path.basename(path).lower() and is_blend(_head(path))


def _head(path: str) -> bytes:
    # Opening a pipe would block until its other end is opened.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        return os.read(file, HEAD_BYTES) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    finally:
        os.close(file)
