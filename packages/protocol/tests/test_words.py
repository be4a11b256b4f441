import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import farm_protocol
import pytest
from farm_protocol.errors import RETRY, STATUS, ErrorCode
from farm_protocol.files import FileEntry, MissingRequest
from farm_protocol.hashing import CHUNK_BYTES, hash_file
from farm_protocol.jobs import Job, JobSpec, SubmissionSpec
from farm_protocol.models import Request
from farm_protocol.places import DATA_DIR_VARIABLE, default_data_dir, embedded_farm_dir
from farm_protocol.users import NewUser
from pydantic import ValidationError


def test_every_code_has_a_status_of_its_own() -> None:
    assert set(STATUS) == set(ErrorCode)
    # A strict Envoy asks for its token with the status that the standard has for it.
    own = [status for code, status in STATUS.items() if code is not ErrorCode.TOKEN_REQUIRED]
    assert len(set(own)) == len(own)
    assert set(ErrorCode) > RETRY


def test_requests_are_strict_and_answers_lenient() -> None:
    entry = {"path": "a/b", "hash": "0" * 64, "size": 1}
    with pytest.raises(ValidationError):
        FileEntry.model_validate(entry | {"sizee": 2})
    with pytest.raises(ValidationError):
        FileEntry.model_validate(entry | {"hash": "../../etc"})
    assert SubmissionSpec.model_config["extra"] == "forbid"
    assert Job.model_config["extra"] == "ignore"


def parts_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Return every part of a JSON schema."""
    if isinstance(schema, dict):
        yield schema
        if [each.get("type") for each in schema.get("anyOf", [])] == ["number", "string"]:
            return  # An exact amount, whose digits are counted.
        schema = [*schema.values()]
    if isinstance(schema, list):
        for each in schema:
            yield from parts_of(each)


# Its parameters may hold anything: `storable` looks how much.
ANYTHING = {"JsonValue"}


def requests() -> list[type[Request]]:
    for module in pkgutil.iter_modules(farm_protocol.__path__):
        importlib.import_module(f"farm_protocol.{module.name}")
    return Request.__subclasses__()


@pytest.mark.parametrize("model", requests(), ids=lambda model: model.__name__)
def test_every_text_and_list_of_a_request_has_a_maximum(model: type[Request]) -> None:
    schema = model.model_json_schema()
    for name in ANYTHING:
        schema.get("$defs", {}).pop(name, None)
    for part in parts_of(schema):
        if part.get("type") == "string":
            assert part.keys() & {"maxLength", "pattern", "enum", "const"}, part
        if part.get("type") == "array":
            assert "maxItems" in part, part


def test_an_amount_has_so_many_digits() -> None:
    for amount in ("9" * 61, "1e999999", "0." + "0" * 60 + "1", "NaN", "-Infinity"):
        with pytest.raises(ValidationError):
            NewUser.model_validate({"email": "a@b", "credits": amount})


def test_parameters_have_any_shape_but_not_any_size() -> None:
    deep: object = 0
    for _ in range(100_000):
        deep = [deep]
    wide = [[0] * 100 for _ in range(100)]
    spec = {"id": "a", "name": "a", "app": "blender", "operation": "render", "path": "a/b"}
    for params, told in (
        ({"x": deep}, ""),
        ({"x": {"y": wide}}, "more than 10000 values"),
        ({f"p{n}": 0 for n in range(201)}, "at most 200"),
        ({"x": "y" * 100_001}, "longer than 100000"),
        ({"x" * 201: 0}, "longer than 200"),
        ({"x": [[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]}, "nested"),
    ):
        with pytest.raises(ValidationError) as refused:
            JobSpec.model_validate(spec | {"params": params})
        assert told in str(refused.value)
    kept = {"x": {"y": [1, "two", {"z": None}]}, "long": "y" * 100_000}
    assert JobSpec.model_validate(spec | {"params": kept}).params == kept


def test_a_list_of_wrong_items_is_one_fault() -> None:
    with pytest.raises(ValidationError) as refused:
        MissingRequest.model_validate({"blobs": [{}] * 5000})
    assert refused.value.error_count() == 2  # Both fields of the first one.


def test_a_hash_is_blake3_of_the_whole_file(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    # The published test vector of BLAKE3 for no input.
    expected = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert hash_file(empty) == (expected, 0)
    large = tmp_path / "large"
    large.write_bytes(bytes(CHUNK_BYTES + 1))
    assert hash_file(large)[1] == CHUNK_BYTES + 1


def test_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path))
    assert default_data_dir() == tmp_path
    assert embedded_farm_dir(tmp_path).is_relative_to(tmp_path)
    monkeypatch.delenv(DATA_DIR_VARIABLE)
    assert default_data_dir().name == "envoy"
