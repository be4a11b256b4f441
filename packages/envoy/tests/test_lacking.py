"""What scenes lack is looked for among the farm's files, however many names and jobs there are."""

import unicodedata

import pytest
from envoy.errors import InvalidRequestError
from envoy.gather.gatherer import Lack
from envoy.submissions.lacking import require
from farm_protocol.files import KnownFile, Manifest
from farm_protocol.jobs import JobSpec
from messages import says

FOLDER = "demo/textures"


def job(number: int) -> JobSpec:
    return JobSpec.model_validate(
        {
            "id": f"j{number}",
            "name": "beauty",
            "app": "blender",
            "operation": "render",
            "path": "demo/scene.blend",
            "params": {"frames": "1"},
        }
    )


def lack(name: str, is_sequence: bool = False) -> Lack:
    return Lack(f"{name} is missing.", f"{FOLDER}/{name}", is_sequence)


class Farm:
    """A farm that has one file, and counts who asks."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def page(self, project: str, folder: str, _: str) -> Manifest:
        self.asked.append((project, folder))
        there = KnownFile(path=f"{FOLDER}/there_0007.png", hash="0" * 64, size=1, mtime_ns=1)
        return Manifest(files=[there])


async def test_a_folder_is_asked_for_once_whatever_is_named_in_it_and_by_how_many_jobs() -> None:
    farm = Farm()
    named = [lack(f"{number}.png") for number in range(300)]
    named += [lack("there_0001.png", is_sequence=True), lack("there_0007.png"), lack("sent.png")]
    with pytest.raises(InvalidRequestError) as error:
        await require(
            [job(1), job(2)],
            {"demo/scene.blend": named},
            [f"{FOLDER}/sent.png", "demo/other/1.png"],
            farm.page,
        )
    assert farm.asked == [("demo", FOLDER)]
    for number in range(2):
        told = error.value.errors[f"jobs[{number}].path"]
        assert told[:-1] == [f"{number}.png is missing." for number in range(300)]


@pytest.mark.parametrize(
    ("named", "sent", "like"),
    [
        (
            unicodedata.normalize("NFD", "BÄUME.png"),
            "Bäume.png",
            "project-whose-case-and-accents-differ",
        ),
        ("Wood.PNG", "wood.png", "project-whose-upper-lower-case"),
    ],
)
async def test_a_file_of_nearly_that_name_is_named(named: str, sent: str, like: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        await require(
            [job(1)], {"demo/scene.blend": [lack(named)]}, [f"{FOLDER}/{sent}"], Farm().page
        )
    assert says(error.value.errors["jobs[0].path"][0], like, sent)


async def test_a_name_that_reads_the_same_is_the_file_s() -> None:
    """Whether the farm has it or gets it: its renderer finds it."""
    forms = unicodedata.normalize("NFC", "Bäume.png"), unicodedata.normalize("NFD", "Bäume.png")
    for named, sent in (forms, reversed(forms)):
        missing, coming = lack(named), [f"{FOLDER}/{sent}"]
        await require([job(1)], {"demo/scene.blend": [missing]}, coming, Farm().page)
