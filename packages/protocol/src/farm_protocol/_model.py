"""The two base models: strict for what we receive as a request, lenient for what we read back."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
"""A whole number as the farm's database keeps it."""


class Request(BaseModel):
    """Sent to the farm. Unknown fields are refused, so that a misspelt one is never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """Sent by the farm. Unknown fields are ignored, so that an older Envoy reads a newer farm."""

    model_config = ConfigDict(extra="ignore", frozen=True)
