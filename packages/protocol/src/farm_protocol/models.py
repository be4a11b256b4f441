"""The two base models: strict for requests that we receive, lenient for answers that we read."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field

Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
"""A whole number as the farm's database stores it."""
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A whole number as any database stores it."""
Count = Annotated[int, Field(ge=0, lt=2**63)]
"""A count, or a number of bytes."""

Seconds = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]
"""A measured time."""

Amount = Annotated[Decimal, Field(max_digits=60)]
"""An exact amount of credits; the farm decides which ones are allowed."""

FirstFault = FailFast()
"""For lists: reports only the first wrong item. A list of a million wrong ones would otherwise be a
million errors.
"""


class Request(BaseModel):
    """Sent to the farm. Unknown fields are refused, so that a misspelt one is never ignored.

    Every text and every list in a request has a maximum; a test checks that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Answer(BaseModel):
    """Sent by the farm. Unknown fields are ignored, so that an older Envoy reads a newer farm."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)
