from pathlib import Path

import pytest
from farm_protocol.errors import RETRY, STATUS, ErrorCode
from farm_protocol.files import FileEntry
from farm_protocol.hashing import CHUNK_BYTES, hash_file
from farm_protocol.jobs import Job, SubmissionSpec
from farm_protocol.places import DATA_DIR_VARIABLE, default_data_dir, embedded_farm_dir
from pydantic import ValidationError


def test_every_code_has_a_status_of_its_own() -> None:
    assert set(STATUS) == set(ErrorCode)
    assert len(set(STATUS.values())) == len(STATUS)
    assert set(ErrorCode) > RETRY


def test_requests_are_strict_and_answers_lenient() -> None:
    entry = {"path": "a/b", "hash": "0" * 64, "size": 1}
    with pytest.raises(ValidationError):
        FileEntry.model_validate(entry | {"sizee": 2})
    with pytest.raises(ValidationError):
        FileEntry.model_validate(entry | {"hash": "../../etc"})
    assert SubmissionSpec.model_config["extra"] == "forbid"
    assert Job.model_config["extra"] == "ignore"


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
