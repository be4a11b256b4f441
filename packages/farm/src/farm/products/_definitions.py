"""What the farm reads from an Open Job Description template: its parameters and its name.

OpenJD checks the steps; only runners load it.
"""

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from farm.products._strict import Strict

_TRUTHS = ("true", "false")
_VALUES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "PATH": (str,),
    "INT": (int,),
    "FLOAT": (int, float),
}


class _OpenJob(Strict):
    """A part of a template, with OpenJD's field names."""

    model_config = ConfigDict(alias_generator=to_camel)


class UserInterface(_OpenJob):
    """How a parameter is displayed; a check box turns a text "true" or "false" into a bool."""

    control: str = ""
    label: str = ""
    group_label: str = ""
    decimals: int | None = None
    single_step_delta: float | None = None
    file_filters: list[dict[str, Any]] = []
    file_filter_default: dict[str, Any] = {}


class Definition(_OpenJob):
    """A parameter, as OpenJD defines it.

    Attributes:
        default: its value when a job does not set it; without a default, a job must set it.
    """

    name: Annotated[str, Field(pattern=r"\A[A-Za-z_][A-Za-z0-9_]*\z", max_length=64)]
    type: Literal["STRING", "PATH", "INT", "FLOAT"]
    default: str | int | float | None = None
    description: str = ""
    allowed_values: list[str] = []
    min_value: int | float | None = None
    max_value: int | float | None = None
    min_length: int | None = None
    max_length: int | None = None
    object_type: str = ""
    data_flow: str = ""
    user_interface: UserInterface = UserInterface()

    @model_validator(mode="after")
    def _check_box_default(self) -> Self:
        if self.user_interface.control == "CHECK_BOX" and self.default not in (None, *_TRUTHS):
            raise ValueError("the default of a check box is 'true' or 'false'")
        return self

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        low, high, default = self.min_value, self.max_value, self.default
        if low is not None and high is not None and low > high:
            raise ValueError("minValue is larger than maxValue")
        if default is None:
            return self
        if not isinstance(default, _VALUES[self.type]):
            raise ValueError(f"the default is not of the type {self.type}")  # noqa: TRY004
        if self.allowed_values and default not in self.allowed_values:
            raise ValueError("the default is not one of allowedValues")
        if not isinstance(default, str):
            if low is not None and default < low:
                raise ValueError("the default is smaller than minValue")
            if high is not None and default > high:
                raise ValueError("the default is larger than maxValue")
        return self

    @property
    def is_required(self) -> bool:
        """Whether a job must set it."""
        return "default" not in self.model_fields_set


class OpenJobTemplate(_OpenJob):
    """A whole template.

    Attributes:
        steps: passed on unchanged.
    """

    specification_version: Literal["jobtemplate-2023-09"]
    extensions: list[str] = []
    name: str
    description: str = ""
    parameter_definitions: list[Definition] = []
    job_environments: list[dict[str, Any]] = []
    steps: Annotated[list[dict[str, Any]], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        counts = Counter(each.name for each in self.parameter_definitions)
        for name, count in counts.items():
            if count > 1:
                raise ValueError(f"the parameter '{name}' is defined {count} times")
        return self
