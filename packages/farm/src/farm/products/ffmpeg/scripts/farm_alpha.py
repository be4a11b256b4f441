"""What transparent images become: seen over a colour, or kept for codecs that have alpha."""

from enum import Enum, auto

# sRGB (IEC 61966-2-1), of 16 bits.
_TO_LINEAR = "if(lte(val,maxval*0.04045),val/12.92,maxval*pow((val/maxval+0.055)/1.055,2.4))"
_FROM_LINEAR = "if(lte(val,maxval*0.0031308),val*12.92,maxval*(1.055*pow(val/maxval,1/2.4)-0.055))"
_DEEP = "format=gbrap16"


class Alpha(Enum):
    """The relation of images' colours to their alpha channel."""

    NONE = auto()
    """There is none."""
    STRAIGHT = auto()
    MULTIPLIED = auto()
    """Premultiplied as the numbers that are stored."""
    LIGHT = auto()
    """Premultiplied in linear light: the colours are what is seen over black."""


def keep(alpha: Alpha) -> "list[str]":
    """Return the filters that give images a straight alpha channel, as films have it."""
    if alpha is Alpha.MULTIPLIED:
        return [_DEEP, "unpremultiply=inplace=1"]
    if alpha is Alpha.LIGHT:
        return [_DEEP, _curve(_TO_LINEAR), "unpremultiply=inplace=1", _curve(_FROM_LINEAR)]
    return []


def over(alpha: Alpha, background: str) -> "list[str]":
    """Return the filters that show images as a renderer does: over a colour, mixed as light.

    Parameters:
        background: ``#rrggbb``; "" for black.
    """
    shares = [_light(int(background[at : at + 2] or "0", 16)) for at in (1, 3, 5)]
    if alpha is Alpha.NONE or (alpha is Alpha.LIGHT and not any(shares)):
        return []
    straight = ["unpremultiply=inplace=1"] if alpha is Alpha.MULTIPLIED else []
    multiply = [] if alpha is Alpha.LIGHT else ["premultiply=inplace=1"]
    behind = []
    if any(shares):
        red, green, blue = (f"{share:.8f}" for share in shares)
        # Of the colour, what each pixel lets through.
        behind = ["lutrgb=a=negval", f"colorchannelmixer=ra={red}:ga={green}:ba={blue}"]
    return [_DEEP, *straight, _curve(_TO_LINEAR), *multiply, *behind, _curve(_FROM_LINEAR)]


def _curve(each: str) -> str:
    return f"lutrgb=r='{each}':g='{each}':b='{each}'"


def _light(stored: int) -> float:
    """Return the light of an sRGB value of 8 bits, 0 to 1."""
    value = stored / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
