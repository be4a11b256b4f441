"""The base class of everything that is read from a product's files."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A part of a product's files: a misspelt field is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
