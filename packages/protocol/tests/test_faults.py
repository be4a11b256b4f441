"""What is wrong with a value is told in plain words, whatever pydantic calls it."""

import json
import re
from typing import Annotated, Any, Literal

import pytest
from farm_protocol.faults import fault_text, first_fault, not_json
from farm_protocol.files import FileEntry
from farm_protocol.text import Id, Line
from messages import saying, says
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core._pydantic_core import list_all_errors

SENTENCES = re.compile(r"[A-Z'].*[.]")


class Everything(BaseModel):
    """A model with a field of each kind."""

    model_config = ConfigDict(extra="forbid")

    id: Id = "a"
    label: Line = ""
    kind: Literal["ink", "oil"] = "ink"
    count: int = Field(default=1, ge=1, le=9)
    share: float = Field(default=0.5, gt=0, lt=1)
    size: Annotated[list[bool], Field(min_length=1, max_length=2)] = [True]
    secret: str = Field(default="", max_length=8)


def fault_of(given: dict[str, Any]) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Everything.model_validate_json(json.dumps(given))
    return caught.value


@pytest.mark.parametrize("kind", list_all_errors(), ids=lambda kind: str(kind["type"]))
def test_no_error_of_pydantic_is_told_in_its_words(kind: dict[str, Any]) -> None:
    theirs = kind["example_message_python"]
    context = {"ctx": kind["example_context"]} if kind["example_context"] else {}
    fault = {"type": kind["type"], "loc": ("size",), "msg": theirs, "input": "hush", **context}
    for told in (fault_text(fault), fault_text(fault, "size")):
        assert SENTENCES.fullmatch(told) or told.startswith("size: ")
        assert theirs not in told
        assert "hush" not in told


def test_an_error_that_only_a_later_pydantic_knows() -> None:
    fault = {"type": "moon_parsing", "loc": ("phase",), "msg": "Input should be a moon"}
    assert fault_text(fault, "phase") == saying("not-valid-correct", "'phase'")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"id": "a b"}, saying("wrong-form-write", "'id'")),
        ({"label": "a\x1bb"}, saying("header-contains-control-character")),
        ({"kind": "wax"}, saying("must-be-one-of", "'kind'", "'ink' or 'oil'")),
        ({"count": 0}, saying("must-more", "'count'", 1)),
        ({"count": 10}, saying("must-less", "'count'", 9)),
        ({"share": 0}, saying("must-be-larger", "'share'")),
        ({"share": 1}, saying("must-less-than", "'share'")),
        ({"size": []}, saying("must-not-empty-fill-leave", "'size'")),
        ({"size": [True] * 3}, saying("too-long-maximum-shorten", "'size'", 2)),
        ({"title": ""}, saying("not-known-field-remove-correct", "'title'")),
    ],
)
def test_a_fault_says_what_is_wrong_and_with_what(given: dict[str, Any], told: saying) -> None:
    assert says(first_fault(fault_of(given)), told)


@pytest.mark.parametrize("secret", ["hush hush hush", 12345678])
def test_a_fault_never_shows_the_value(secret: object) -> None:
    told = first_fault(fault_of({"secret": secret}))
    assert "secret" in told
    assert str(secret) not in told


def test_what_a_check_of_ours_says_is_told_as_a_sentence() -> None:
    (fault,) = fault_of({"label": "a\x1bb"}).errors()
    assert SENTENCES.fullmatch(fault_text(fault))


def test_a_hash_that_is_none() -> None:
    with pytest.raises(ValidationError) as caught:
        FileEntry(path="a/b", hash="0", size=1)
    assert first_fault(caught.value) == saying("wrong-form-write", "'hash'", 64)


@pytest.mark.parametrize(
    ("variables", "named"),
    [({"OTHER": "a", "Farm_Proxies": "a"}, "FARM_PROXIES"), ({"FARM_PROXIES": "b"}, "FARM_...")],
)
def test_a_setting_that_is_not_json_is_named(variables: dict[str, str], named: str) -> None:
    error = ValueError("error parsing value")
    error.__cause__ = json.JSONDecodeError("Expecting value", "a", 0)
    told = not_json(error, variables, "FARM_")
    assert says(told, "setting-not-valid-json-write")
    assert named in told
