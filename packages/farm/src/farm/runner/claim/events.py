"""Events that a renderer's script reports to its runner: see ``products/shared/farm_events.py``.

A scene can print the same lines: anything that is not a valid event is a line of output.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

PREFIX = "farm_event: "
"""Prefix of a line that is an event, in JSON."""
_LONGEST = 10.0**9
"""Limit on the seconds of a frame."""

Frame = Annotated[int, Field(ge=-(2**31), lt=2**31)]


class Command(BaseModel):
    """The program is about to start, with this command line."""

    event: Literal["command"]
    line: str


class Loaded(BaseModel):
    """The scene is loaded. Its size in pixels is None when it is not known yet."""

    event: Literal["loaded"]
    width: int | None
    height: int | None


class FrameStarted(BaseModel):
    """A frame is started."""

    event: Literal["frame_started"]
    frame: Frame


class FrameWritten(BaseModel):
    """A frame is written.

    Attributes:
        seconds: its rendering time.
        files: its images, below the output folder.
        extra: other files that the scene has written.
    """

    event: Literal["frame_written"]
    frame: Frame
    seconds: Annotated[float, Field(ge=0, le=_LONGEST)]
    files: list[str]
    extra: list[str]


class Warned(BaseModel):
    """A warning for the job's owner."""

    event: Literal["warned"]
    message: str


class Failed(BaseModel):
    """The frames cannot be rendered.

    Attributes:
        permanent: a retry, on another machine, would fail in the same way.
    """

    event: Literal["failed"]
    message: str
    permanent: bool


Event = Command | Loaded | FrameStarted | FrameWritten | Warned | Failed

_EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def read_event(text: str) -> Event:
    """Return an event. Raises ValueError; or RecursionError, for a thousand brackets."""
    return _EVENTS.validate_python(_clean(json.loads(text)))


def _clean(event: Any) -> Any:
    """Return an event whose texts can be encoded as UTF-8: JSON can contain lone surrogates."""
    match event:
        case str():
            return event.encode("utf-8", "backslashreplace").decode("utf-8")
        case list():
            return [_clean(each) for each in event]
        case dict():
            return {key: _clean(value) for key, value in event.items()}
    return event
