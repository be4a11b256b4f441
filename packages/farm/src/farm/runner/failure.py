"""Why a claim failed, whoever found out: the renderer, its watchdog, or the check of a frame."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """A reason to fail.

    Attributes:
        permanent: retrying cannot help.
        no_licence: the renderer got no licence: the job itself is not at fault.
        marker: the line of the renderer's output that says so; "" for another reason.
        frame: the failed frame; None: the one that was being rendered, if any.
    """

    message: str
    permanent: bool
    no_licence: bool = False
    marker: str = ""
    frame: int | None = None
