"""Which files a scene may have gathered: those that its program would show as what it names.

A scene comes from anywhere, and can name any file. What is no picture is not taken for one, however
it is called: a file is taken only if its name ends as files of the kind do, and its first bytes are
those of one. So a scene gets nothing that it would not show when its artist renders it.
"""

import os
import stat
from collections.abc import Callable, Mapping

LIBRARY = "library"
"""The kind of a .blend, as the tracer says."""
_HEAD_BYTES = 8192
Check = Callable[[bytes], bool]


def _begins(*marks: bytes, at: int = 0) -> Check:
    return lambda head: any(head.startswith(mark, at) for mark in marks)


def _holds(*marks: bytes) -> Check:
    return lambda head: any(mark in head for mark in marks)


def _is_targa(head: bytes) -> bool:
    # It has no mark; its first bytes have few values.
    return (
        len(head) >= 18
        and head[1] in (0, 1)
        and head[2] in (1, 2, 3, 9, 10, 11)
        and head[16] in (8, 15, 16, 24, 32)
    )


def _is_mdd(head: bytes) -> bool:
    # Nor this: numbers of frames and of points, then the times of the frames, from the first on.
    frames, points = int.from_bytes(head[:4]), int.from_bytes(head[4:8])
    return 0 < frames < 2**24 and 0 < points < 2**31 and len(head) >= 12


def _table(kinds: Mapping[tuple[str, ...], Check]) -> dict[str, Check]:
    """Return a check for each ending, of several that share one."""
    return {ending: check for endings, check in kinds.items() for ending in endings}


_PICTURE = _begins(
    *(b"\x89PNG\r\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x76\x2f\x31\x01"),
    *(b"#?", b"BM", b"SDPX", b"XPDS", b"\x80\x2a\x5f\xd7", b"\xd7\x5f\x2a\x80", b"\x01\xda"),
    *(b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51", b"8BPS", b"DDS ", b"GIF8"),
)
_RIFF = _begins(b"RIFF", b"RF64")
_BOX = _begins(b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", at=4)
_FILM = _begins(
    *(b"\x1a\x45\xdf\xa3", b"OggS", b"\0\0\1\xba", b"\0\0\1\xb3", b"FLV", b"\x06\x0e\x2b\x34"),
    *(b"\x1f\x07", b"\x30\x26\xb2\x75", b"\x47"),
)
_TRANSPORT = _begins(b"\x47", at=4)
_NOISE = _begins(
    *(b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1"),
    *(b"\xff\xf9", b"FORM", b".snd", b"\x0b\x77", b"\x30\x26\xb2\x75", b"\x1a\x45\xdf\xa3"),
)
_PACKED = _begins(b"\x1f\x8b", b"\x28\xb5\x2f\xfd")

# What a picture really is its name often does not tell, and Blender does not mind.
_PICTURES = _table(
    {
        (
            *("png", "jpg", "jpeg", "tif", "tiff", "tx", "exr", "hdr", "bmp", "dpx", "cin", "jp2"),
            *("j2c", "j2k", "sgi", "rgb", "rgba", "bw", "psd", "dds", "gif", "webp"),
        ): lambda head: _PICTURE(head) or (_RIFF(head) and head[8:12] == b"WEBP"),
        ("tga",): lambda head: _PICTURE(head) or _is_targa(head),
    }
)
_FILMS = _table(
    {
        (
            *("mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "m2v", "ogv", "ogg", "flv"),
            *("mxf", "dv", "wmv", "ts", "mts", "m2ts", "vob"),
        ): lambda head: (
            _FILM(head) or _BOX(head) or _TRANSPORT(head) or (_RIFF(head) and head[8:12] == b"AVI ")
        )
    }
)
_SOUNDS = _table(
    {
        (
            *(
                "wav",
                "mp3",
                "flac",
                "ogg",
                "oga",
                "opus",
                "aif",
                "aiff",
                "aac",
                "m4a",
                "ac3",
                "wma",
            ),
            *("au", "mka", "mp2"),
        ): lambda head: _NOISE(head) or _BOX(head) or (_RIFF(head) and head[8:12] == b"WAVE")
    }
)
_FONTS = _table(
    {
        ("ttf", "otf", "ttc", "otc", "woff", "woff2", "pfb", "pfa"): _begins(
            *(b"\0\1\0\0", b"true", b"OTTO", b"ttcf", b"wOFF", b"wOF2", b"\x80\x01", b"%!PS-Adobe")
        )
    }
)
_VOLUMES = _table({("vdb",): _begins(b" BDV")})
_CACHES = _table(
    {
        ("abc",): _begins(b"Ogawa", b"\x89HDF"),
        ("usd", "usdc", "usda", "usdz"): _begins(b"PXR-USDC", b"#usda", b"PK\3\4"),
        ("bphys",): _begins(b"BPHYSICS"),
        ("uni", "gz"): _begins(b"\x1f\x8b"),
        ("pc2",): _begins(b"POINTCACHE2"),
        ("mdd",): _is_mdd,
        ("ply",): _begins(b"ply"),
        ("obj",): _holds(b"\nv ", b"# "),
    }
)
_LIGHTS = _table({("ies",): _holds(b"TILT=", b"IESNA")})
_BLENDS: Check = lambda head: head.startswith(b"BLENDER") or _PACKED(head)  # noqa: E731

_KINDS: Mapping[str, Mapping[str, Check]] = {
    "image": _PICTURES | _FILMS,
    "font": _FONTS,
    "sound": _SOUNDS | _FILMS,
    "movie clip": _PICTURES | _FILMS,
    "strip": _PICTURES | _FILMS | _SOUNDS,
    "volume": _VOLUMES,
    "light profile": _LIGHTS,
    "cache": _CACHES | _VOLUMES | _PICTURES,
}
"""By `farm.scenes.usages.AssetKind`, then by ending."""


def is_of_kind(path: str, kind: str) -> bool:
    """Return whether a file is what a scene takes it for. Raises OSError as `open` does.

    Parameters:
        kind: what names it, as the tracer says.
    """
    name = os.path.basename(path).lower()
    if kind == LIBRARY:
        check: Check | None = _BLENDS if ".blend" in name else None
    else:
        check = _KINDS.get(kind, {}).get(name.rpartition(".")[2])
    return check is not None and check(_head(path))


def is_blend(path: str) -> bool:
    """Return whether a file may be a .blend. Raises OSError as `open` does."""
    return is_of_kind(path, LIBRARY)


def _head(path: str) -> bytes:
    # Whoever opens a pipe waits for its other end.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        return os.read(file, _HEAD_BYTES) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    finally:
        os.close(file)
