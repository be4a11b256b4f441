"""Does a frame look right? A renderer that lacks half a scene still exits with 0.

=================  ====================================================  =========
Code               When                                                  Certainty
=================  ====================================================  =========
non_finite         a colour or alpha value is NaN or infinite            certain
empty              every pixel is transparent, or every pixel is black   hint
empty              ... while the frames before and after are plainly     certain
                   pictures, and alike
one_colour         all pixels are the same, within a step of 8 bits      hint
missing_texture    5 % of the pixels are magenta like a missing texture  hint
outlier            the frame differs from both of its neighbours by 4    hint
                   times as much as these differ, and visibly
=================  ====================================================  =========

Neighbours often belong to another runner. So the farm makes the comparisons: it gets a
`farm_protocol.frames.Picture` with each frame (`farm.frame_health.neighbours`).

Hints are for people to check. Shots begin and end in black, an object may be out of sight, a flash
may be intended: nothing should fail or be rendered again because of a hint. Certain flags mean
pictures that nobody wants. Consecutive black frames are a fade or a pause, and one between two dark
frames is a dip to black: these stay hints.
"""

from farm_protocol.frames import BRIGHTEST, Certainty, FlagCode, FrameFlag, Picture

from farm.frame_health.statistics import ImageStatistics

_MAGENTA_SHARE = 0.05


def flags(frame: int, image: ImageStatistics) -> list[FrameFlag]:
    """Return what one frame shows by itself; nothing for a healthy one."""
    found = []
    nan = sum(each.nan for each in image.channels)
    infinite = sum(each.infinite for each in image.channels)
    if nan or infinite:
        amount = " and ".join(
            f"{count} {word}" for count, word in ((nan, "NaN"), (infinite, "infinite")) if count
        )
        text = f"Frame {frame} is damaged: it has {amount} values among its colours."
        found.append(_flag(frame, FlagCode.NON_FINITE, Certainty.CERTAIN, text))
    elif image.emptiness:
        text = (
            f"Frame {frame} is empty: every pixel is {image.emptiness}. In a fade this is expected."
        )
        found.append(_flag(frame, FlagCode.EMPTY, Certainty.HINT, text))
    elif all(each.is_even for each in image.channels):
        text = f"Frame {frame} has only one colour: every pixel is the same."
        found.append(_flag(frame, FlagCode.ONE_COLOUR, Certainty.HINT, text))
    if image.magenta >= _MAGENTA_SHARE:
        text = (
            f"Frame {frame} may lack a texture: {image.magenta:.0%} of it is magenta, the colour"
            " of a missing texture."
        )
        found.append(_flag(frame, FlagCode.MISSING_TEXTURE, Certainty.HINT, text))
    return found


def picture(image: ImageStatistics) -> Picture:
    """Return the statistics by which the farm compares frames."""
    lights = [round(light * BRIGHTEST) for light in image.signature]
    return Picture(signature=lights, emptiness=image.emptiness)


def _flag(frame: int, code: FlagCode, certainty: Certainty, message: str) -> FrameFlag:
    return FrameFlag(frame=frame, code=code, certainty=certainty, message=message)
