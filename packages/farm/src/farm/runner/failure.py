"""Why a claim failed, whoever saw it: the renderer, its watch, or the check of a frame."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """A reason to fail.

    Attributes:
        permanent: trying again cannot help.
        no_licence: the renderer got no licence: nothing of the job's own went wrong.
        marker: the line of the renderer's output that says so; "" when another reason does.
        frame: that failed; None: the one that was being rendered, if any.
    """

    message: str
    permanent: bool
    no_licence: bool = False
    marker: str = ""
    frame: int | None = None
