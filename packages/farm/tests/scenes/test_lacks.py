"""What is compared is input on both sides: limits of what is looked for, and of what is told."""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from farm.scenes.blend_assets import UnreadableBlendError, missing_assets
from farm.scenes.lacks import Lacks, lacks
from farm.scenes.mapped import mapped
from farm.scenes.scene_maps import MOST_BYTES, MOST_RULES, rules_in
from farm.scenes.usages import AssetKind, Usage
from farm_protocol import path_maps
from messages import saying

PLAIN = mapped(())


def named(count: int, path: str = "//{}.png") -> list[Usage]:
    return [
        Usage(path.format(n), "p/s.blend", AssetKind.IMAGE, f"i{n}", is_sequence=False)
        for n in range(count)
    ]


def test_what_there_is_no_time_for_is_counted() -> None:
    assert lacks(named(70), ["p/1.png"], PLAIN, seconds=-1) == Lacks([], 0, 70)


def test_the_first_thousand_are_told_and_the_others_counted() -> None:
    found = lacks(named(1500), ["p/1499.png"], PLAIN)
    assert (len(found.assets), found.more, found.unknown) == (1000, 499, 0)


def test_of_very_long_names_fewer_are_told() -> None:
    found = lacks(named(1000, "//" + "x" * 5000 + "{}.png"), [], PLAIN)
    assert 0 < len(found.assets) < 150
    assert len(found.assets) + found.more == 1000


def test_one_path_for_two_things_is_told_for_each() -> None:
    found = lacks(named(2, "//a.png"), [], PLAIN)
    assert [each.data_block for each in found.assets] == ["i0", "i1"]


def test_a_path_has_a_hundred_places_of_any_number() -> None:
    rules = [("/a", f"p/{n}") for n in range(1000)] + [("/a/b", "p/last")]
    found = mapped(rules).meant("/a/b/c.png", "p/s.blend")
    assert found == ["p/last/c.png", *(f"p/{n}/b/c.png" for n in range(99))]


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"[" * 100_000,
        b"[]",
        b'{"rules": 1}',
        b'{"rules": [1]}',
        b'{"rules": [{"source_path": "/a"}]}',
        b'{"rules": [{"source_path": "/a", "destination_path": 1}]}',
        b'{"rules": [{"source_path": 1, "destination_path": "a"}]}',
        b'{"rules": ' + b"1" * 10_000 + b"}",
        b'{"rules": []' + b" " * MOST_BYTES + b"}",
        b"\xff",
    ],
    ids=range(11),
)
def test_a_damaged_map_has_no_rules(told: bytes) -> None:
    assert rules_in(io.BytesIO(told)) == []


def test_a_map_is_read_as_it_is_written() -> None:
    rules = [
        path_maps.PathRule(
            source_path_format="POSIX", source_path="/a", destination_path="p/_gathered/1"
        )
    ]
    told = path_maps.PathMap(rules=rules).model_dump_json().encode()
    assert rules_in(io.BytesIO(told)) == [("/a", "p/_gathered/1")]
    many = json.dumps({"rules": json.loads(told)["rules"] * (MOST_RULES + 1)}).encode()
    assert rules_in(io.BytesIO(many)) == []
    assert (MOST_RULES, MOST_BYTES) == (path_maps.MOST_RULES, path_maps.MOST_BYTES)


class _Untouched(Mapping[str, Path]):
    """Files that are only to be counted: each one that is asked for may have to be fetched."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def __getitem__(self, path: str) -> Path:
        if path not in self._names:
            raise KeyError(path)
        raise AssertionError(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def test_of_too_many_scenes_no_file_is_asked_for() -> None:
    files = _Untouched([f"p/{n}.blend" for n in range(1001)])
    with pytest.raises(
        UnreadableBlendError, check=saying("project-has-too-many-scenes", "p/0.blend")
    ):
        missing_assets("p/0.blend", files)
