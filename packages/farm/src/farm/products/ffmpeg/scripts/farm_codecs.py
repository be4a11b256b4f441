"""FFmpeg's arguments for each codec, and its filters: size, colours, pixel format."""

from collections.abc import Callable
from dataclasses import dataclass

from farm_alpha import Alpha, keep, over
from farm_events import SceneError

_TAGS = (
    *("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709"),
    *("-color_range", "tv"),
)
# Equal images give equal bytes: no clock, no FFmpeg version, no processor-dependent rounding.
_SAME_BYTES = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact")
_SCALER = "bicubic+accurate_rnd+full_chroma_int+bitexact"
_ALPHA_PROFILE = 5
"""First ProRes quality with an alpha channel: 4444."""


@dataclass(frozen=True)
class Codec:
    """One documented codec.

    Attributes:
        encoders: FFmpeg's names, the preferred one first.
        name: of the codec, as ffprobe reports it.
        extension: of the film, and FFmpeg's name for its container.
        quality: the default.
        pixels: FFmpeg's pixel format.
        least: minimum width and height of a film: the largest minimum of its encoders, so that a
            job means the same on each machine.
        arguments: (encoder, quality) -> FFmpeg's arguments.
    """

    encoders: "tuple[str, ...]"
    name: str
    extension: str
    quality: int
    pixels: str
    least: int
    arguments: "Callable[[str, int], list[str]]"

    def choose_encoder(self, built_in: "set[str]", label: str) -> str:
        """Return the first of its encoders that is available.

        Raises:
            SceneError: there is none.
        """
        for encoder in self.encoders:
            if encoder in built_in:
                return encoder
        raise SceneError(
            f"The FFmpeg of the render machine cannot write {label}: it was built without"
            f" {' and '.join(self.encoders)}.",
            False,
        )


def _crf(encoder: str, quality: int) -> "list[str]":
    return ["-crf", str(quality)]


def _h265(encoder: str, quality: int) -> "list[str]":
    # hvc1: the tag that Apple's players expect.
    return ["-crf", str(quality), "-tag:v", "hvc1", "-x265-params", "log-level=warning"]


def _av1(encoder: str, quality: int) -> "list[str]":
    if encoder == "libsvtav1":
        return ["-crf", str(quality), "-preset", "8"]
    return ["-crf", str(quality), "-b:v", "0", "-cpu-used", "6", "-row-mt", "1"]


def _prores(encoder: str, quality: int) -> "list[str]":
    return ["-profile:v", str(quality - 1), "-vendor", "apl0"]


# The minimum sizes are those of x265 3.5 and SVT-AV1 1.4; in the others two pixels share a colour.
CODECS = {
    "H264": Codec(("libx264",), "h264", "mp4", 20, "yuv420p", 2, _crf),
    "H265": Codec(("libx265",), "hevc", "mp4", 23, "yuv420p", 16, _h265),
    "PRORES": Codec(("prores_ks",), "prores", "mov", 4, "yuv422p10le", 2, _prores),
    "AV1": Codec(("libsvtav1", "libaom-av1"), "av1", "mp4", 30, "yuv420p", 64, _av1),
}


def even(number: int) -> int:
    """Return the number, plus one if it is odd: two pixels share a colour."""
    return number + number % 2


def film_size(image: "tuple[int, int]", width: int, height: int) -> "tuple[int, int]":
    """Return the size of a film as the filters below make it, in pixels.

    Parameters:
        image: size of the images.
        width: as in `filters`.
        height: likewise.
    """
    across, down = image
    wide = width or (_in_proportion(height, down, across) if height else across)
    high = height or (_in_proportion(width, across, down) if width else down)
    return even(wide), even(high)


def _in_proportion(side: int, image_side: int, other_side: int) -> int:
    # Like FFmpeg's -2: the nearest even number, half rounded up. It can be 0.
    return (side * other_side + image_side) // (2 * image_side) * 2


def has_alpha(codec: Codec, quality: int) -> bool:
    """Return whether films of a codec have an alpha channel."""
    return codec.name == "prores" and quality >= _ALPHA_PROFILE


def pixels_of(codec: Codec, quality: int) -> str:
    """Return FFmpeg's pixel format for a film."""
    return "yuva444p10le" if has_alpha(codec, quality) else codec.pixels


def filters(
    codec: Codec, quality: int, alpha: Alpha, background: str, width: int, height: int
) -> str:
    """Return FFmpeg's filter chain.

    Parameters:
        alpha: of the images.
        background: the colour that is seen through transparent parts, ``#rrggbb``; "" keeps what is
            transparent if the codec has alpha, and is black otherwise.
        width: of the film in pixels before it is made even; 0: as the images have it, or, with a
            height, in their proportion.
        height: likewise.
    """
    if has_alpha(codec, quality):
        before = [*over(alpha, background), "format=gbrp16"] if background else keep(alpha)
    else:
        before = over(alpha, background)
    size = f"w={width or -2}:h={height or -2}:" if width or height else ""
    return ",".join(
        [
            # Prints the size of each image; see farm_ffmpeg.
            "showinfo=checksum=0",
            *before,
            f"scale={size}out_color_matrix=bt709:out_range=tv:flags={_SCALER}",
            f"format={pixels_of(codec, quality)}",
            "pad=ceil(iw/2)*2:ceil(ih/2)*2",
            "setsar=1",
            # prores_ks takes them from the frames, other encoders from the arguments below.
            "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709",
        ]
    )


def output_arguments(codec: Codec, encoder: str, quality: int, sound: "list[str]") -> "list[str]":
    """Return FFmpeg's arguments between the filters and the file's name.

    Parameters:
        sound: arguments for the film's sound; none for a silent one.
    """
    return [
        *(sound or ("-an",)),
        *("-sn", "-dn", "-c:v", encoder),
        *codec.arguments(encoder, quality),
        *_TAGS,
        *_SAME_BYTES,
        # The index first, so that a film can be played while it is still loading.
        *("-movflags", "+faststart+write_colr", "-f", codec.extension),
    ]
