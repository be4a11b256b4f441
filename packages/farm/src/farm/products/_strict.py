"""The base of all that is read from a product's files."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A part of a product's files: a misspelt field is refused, not passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)
