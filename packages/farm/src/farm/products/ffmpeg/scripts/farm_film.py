"""FFmpeg's command line for a film, and what is drawn for it beforehand."""

import argparse
import os
from dataclasses import dataclass

from farm_alpha import Alpha
from farm_burn import Burnt, Layer, check, graph
from farm_codecs import CODECS, Codec, film_size, filters, output_arguments, pixels_of
from farm_sound import Sound


@dataclass(frozen=True)
class Film:
    """A film that is to be made.

    Attributes:
        options: of `transcode.py`.
        encoder: FFmpeg's name for it.
        frames: of the film.
        sound: None for a silent one.
        burnt: what is burnt into it.
    """

    options: argparse.Namespace
    encoder: str
    frames: "list[int]"
    sound: "Sound | None"
    burnt: Burnt

    @property
    def codec(self) -> Codec:
        """Its codec."""
        return CODECS[self.options.codec]

    @property
    def quality(self) -> int:
        """Return the quality setting of the codec."""
        return int(self.options.quality) or self.codec.quality

    @property
    def path(self) -> str:
        """Where it is written."""
        return os.path.join(self.options.partial, f"film.{self.codec.extension}")

    def command(
        self, source: "list[str]", alpha: Alpha, image: "tuple[int, int] | None"
    ) -> "list[str]":
        """Return FFmpeg's command line, for the partial folder, and draw what it lays on the film.

        Parameters:
            source: arguments for the images.
            alpha: of the images.
            image: size of the first one; None when it is damaged, which FFmpeg tells of.

        Raises:
            SceneError: the film cannot be made like this.
        """
        options, sound = self.options, self.sound
        across = options.width, options.height
        shown = filters(self.codec, self.quality, alpha, options.background, *across)
        layers: list[Layer] = []
        if self.burnt:
            check(pixels_of(self.codec, self.quality))
        if self.burnt and image is not None:
            size = film_size(image, *across)
            layers = self.burnt.draw(options.partial, self.frames, options.rate, size)
        if layers:
            first = 2 if sound else 1
            joined = graph(shown, pixels_of(self.codec, self.quality), layers, first)
            drawn = ["-filter_complex", joined, "-map", f"[film{len(layers)}]"]
        else:
            drawn = ["-vf", shown, *(("-map", "0:v:0") if sound else ())]
        heard = sound.outputs(self.codec.extension) if sound else []
        return [
            *(options.ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-y", "-xerror"),
            *("-progress", "pipe:1"),
            *source,
            *(sound.inputs() if sound else ()),
            *(argument for layer in layers for argument in layer.inputs),
            *drawn,
            *output_arguments(self.codec, self.encoder, self.quality, heard),
            self.path,
        ]
