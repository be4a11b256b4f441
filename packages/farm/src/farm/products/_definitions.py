"""What the farm reads from an Open Job Description template: its parameters and its name.

OpenJD itself checks the step (`farm.runner.claim.open_job`), which costs half a second: runners do
so for a job, and the farm when it starts, for products that do not come with it.
"""

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from farm.products._strict import Defined, Strict

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

    name: Defined
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
    def _check_fields(self) -> Self:
        """Refuse fields that would mean nothing for the type, and nulls, which mean nothing."""
        if nulls := [name for name in self.model_fields_set if getattr(self, name) is None]:
            raise ValueError(f"'{to_camel(nulls[0])}' has no value. Fill it in, or leave it out")
        is_text = self.type in ("STRING", "PATH")
        texts = {"allowed_values", "min_length", "max_length"}
        numbers = {"min_value", "max_value"}
        for name in sorted(self.model_fields_set & (numbers if is_text else texts)):
            raise ValueError(
                f"'{to_camel(name)}' does not go with the type {self.type}. Remove it, or write"
                f" the type {'INT or FLOAT' if is_text else 'STRING'}"
            )
        if "allowed_values" in self.model_fields_set and not self.allowed_values:
            raise ValueError("'allowedValues' is empty. Fill it in, or leave it out")
        return self

    @model_validator(mode="after")
    def _check_check_box(self) -> Self:
        if self.user_interface.control != "CHECK_BOX":
            return self
        if self.type != "STRING" or sorted(self.allowed_values) != sorted(_TRUTHS):
            raise ValueError(
                "a CHECK_BOX has other values than yes and no. Write 'type: STRING' and"
                ' \'allowedValues: ["true", "false"]\''
            )
        return self

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        low, high, default = self.min_value, self.max_value, self.default
        if low is not None and high is not None and low > high:
            raise ValueError("minValue is larger than maxValue. Swap them")
        if default is None:
            return self
        if not isinstance(default, _VALUES[self.type]):
            raise ValueError(  # noqa: TRY004
                f"the default {default!r} is not of the type {self.type}. Correct one of them"
            )
        if self.allowed_values and default not in self.allowed_values:
            raise ValueError(f"the default {default!r} is none of allowedValues. Write one of them")
        if isinstance(default, str):
            if not (self.min_length or 0) <= len(default) <= (self.max_length or len(default)):
                raise ValueError(
                    "the default is shorter than minLength or longer than maxLength. Correct one of"
                    " them"
                )
            return self
        if low is not None and default < low:
            raise ValueError("the default is smaller than minValue. Correct one of them")
        if high is not None and default > high:
            raise ValueError("the default is larger than maxValue. Correct one of them")
        return self

    @property
    def is_required(self) -> bool:
        """Whether a job must set it."""
        return "default" not in self.model_fields_set


class Step(_OpenJob):
    """What a runner does for each claim.

    It has no environments and needs no other step: a runner runs one task and nothing else.

    Attributes:
        parameter_space, script: checked by OpenJD itself.
    """

    name: str
    description: str = ""
    parameter_space: dict[str, Any] = {}
    script: dict[str, Any]


class OpenJobTemplate(_OpenJob):
    """A whole template.

    Attributes:
        steps: exactly one.
    """

    specification_version: Literal["jobtemplate-2023-09"]
    extensions: list[str] = []
    name: str
    description: str = ""
    parameter_definitions: list[Definition] = []
    steps: Annotated[list[Step], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        counts = Counter(each.name for each in self.parameter_definitions)
        for name, count in counts.items():
            if count > 1:
                raise ValueError(f"the parameter '{name}' is defined {count} times. Keep one")
        if len(self.steps) > 1:
            raise ValueError(
                f"it has {len(self.steps)} steps, and runners run one. Make an operation of each"
            )
        return self
