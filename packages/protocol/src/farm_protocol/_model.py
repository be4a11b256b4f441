"""The two base models: strict for what we receive as a request, lenient for what we read back."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
"""A whole number as the farm's database keeps it."""
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A whole number as any database keeps it."""
Count = Annotated[int, Field(ge=0, lt=2**63)]
"""How many, or how many bytes."""


class Request(BaseModel):
    """Sent to the farm. Unknown fields are refused, so that a misspelt one is never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answer(BaseModel):
    """Sent by the farm. Unknown fields are ignored, so that an older Envoy reads a newer farm."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)
