"""The two base models: strict for what we receive as a request, lenient for what we read back."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field

Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
"""A whole number as the farm's database keeps it."""
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A whole number as any database keeps it."""
Count = Annotated[int, Field(ge=0, lt=2**63)]
"""How many, or how many bytes."""

Seconds = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]
"""A time that somebody has measured."""

Amount = Annotated[Decimal, Field(max_digits=60)]
"""An exact amount of credits; which ones are allowed is the farm's to say."""

FirstFault = FailFast()
"""For lists: what is wrong is told of the first wrong item only. A list of a million wrong ones
would otherwise be a million errors."""


class Request(BaseModel):
    """Sent to the farm. Unknown fields are refused, so that a misspelt one is never ignored.

    Every text and every list of one has a maximum; a test looks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answer(BaseModel):
    """Sent by the farm. Unknown fields are ignored, so that an older Envoy reads a newer farm."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


def fault_text(fault: Mapping[str, Any]) -> str:
    """Return what one of pydantic's ``errors()`` says, or what was raised where that was ours."""
    ours = fault.get("ctx", {}).get("error")
    return str(ours) if isinstance(ours, ValueError) else str(fault["msg"])
