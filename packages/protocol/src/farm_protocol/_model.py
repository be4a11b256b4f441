"""The two base models: strict for what we receive as a request, lenient for what we read back."""

from pydantic import BaseModel, ConfigDict


class Request(BaseModel):
    """Sent to the farm. Unknown fields are refused, so that a misspelt one is never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """Sent by the farm. Unknown fields are ignored, so that an older Envoy reads a newer farm."""

    model_config = ConfigDict(extra="ignore", frozen=True)
