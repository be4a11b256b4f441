"""Jobs of Nuke scripts: which nodes write what, under which names, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import OpenImageIO as oiio
import pytest
from farm_protocol.runner import JobLimits, Outcome
from messages import saying, says
from stand_ins.scenes import SIZE

from .desk import Desk
from .in_process import end, names


@pytest.fixture
def desk(tmp_path: Path) -> Callable[[str], Desk]:
    return lambda product: Desk(tmp_path, product)


def test_nuke_files_keep_the_names_of_their_nodes(desk: Callable[[str], Desk]) -> None:
    farm = desk("nuke").run(claims=[[1, 3, 5], [6]])
    assert {finish.outcome for finish in farm.finishes.values()} == {Outcome.COMPLETED}, farm.log
    assert names(farm) == {
        frame: [f"Write1/a.{frame:04d}.png", f"Write2/b.{frame:04d}.exr"] for frame in (1, 3, 5, 6)
    }


def test_one_nuke_node_writes_into_the_results_themselves(desk: Callable[[str], Desk]) -> None:
    farm = desk("nuke").run(claims=[[2]], write_nodes=" Write2 ")
    assert names(farm) == {2: ["b.0002.exr"]}


def test_a_nuke_node_that_is_not_there_is_told(desk: Callable[[str], Desk]) -> None:
    farm = desk("nuke").run(claims=[[2]], write_nodes="Nowhere")
    there = "Write1, Write2, Disabled"
    assert end(farm).message == saying("script-no-write-node", "Nowhere", there)
    assert end(farm).permanent


def test_a_nuke_script_that_writes_a_movie_is_refused(desk: Callable[[str], Desk]) -> None:
    movie = "Write {\n file out/x.mov\n name Movie\n}\n"
    farm = desk("nuke").run(claims=[[1]], extra=movie)
    assert says(end(farm).message, "write-node-writes-movie-which", "Movie")
    assert end(farm).permanent


GROUPED = """\
Group {
 inputs 0
 name Comp
 label "two of them"
}
 CheckerBoard2 {
  inputs 0
  name Checker1
 }
 Write {
  file out/grouped.%04d.png
  file_type png
  create_directories true
  name Write1
 }
 Group {
  name Inner
 }
  Write {
   file out/inner.%04d.png
   file_type png
   create_directories true
   name Inside
  }
 end_group
 Write {
  file out/after.%04d.png
  file_type png
  create_directories true
  name After
 }
end_group
Write {
 file out/alone.%04d.png
 file_type png
 create_directories true
 name Outside
}
"""


def nested(depth: int, name: str) -> str:
    """Return groups in one another, in the last of which many nodes have the names of them all."""
    groups = "".join(
        f"{' ' * n}Group {{\n{' ' * n} name {name}\n{' ' * n}}}\n" for n in range(depth)
    )
    end = " " * depth
    return groups + "".join(
        f"{end}Write {{\n{end} disable true\n{end} name W{n}\n{end}}}\n" for n in range(100)
    )


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "Write {\n file out/a.%04d.png\n name ../../escape\n}\n",
            saying("not-name-write-node", "../../escape"),
        ),
        (
            "Write {\n file out/a.%04d.png\n name Write1\n}\n",
            saying("two-write-nodes-called-rename", "Write1"),
        ),
        (
            "".join(f"Write {{\n disable true\n name W{n}\n}}\n" for n in range(1000)),
            saying("more-than-write-nodes", 1000),
        ),
        (GROUPED.replace("Comp", "../x"), saying("not-name-write-node", "../x.Write1")),
        (nested(3000, "g"), saying("script-more-than-groups-one", 50)),
        (nested(40, "g" * 99), saying("write-node-more-than-characters", 200)),
    ],
    ids=["path", "twice", "too-many", "path-of-group", "deep", "long"],
)
def test_a_nuke_script_with_bad_names_is_refused(
    desk: Callable[[str], Desk], script: str, message: saying
) -> None:
    farm = desk("nuke").run(claims=[[1]], extra=script)
    assert says(end(farm).message, message)
    assert end(farm).permanent


def of_views(count: int, *, length: int = 1) -> str:
    """Return the head of a script that has many views, with names of a length at least."""
    views = "\n".join(f"v{n:0{length}} #ff0000" for n in range(count))
    return f'Root {{\n format "32 24 0 0 32 24 1 small"\n views "{views}"\n}}\n'


def writes(count: int, file: str) -> str:
    return "".join(
        f"Write {{\n file {file}\n file_type exr\n name V{n}\n}}\n" for n in range(count)
    )


@pytest.mark.parametrize(
    ("views", "script", "limits", "message"),
    [
        (of_views(501), "", JobLimits(), saying("script-more-than-views-delete", 500)),
        (
            of_views(500),
            writes(9, "%V/x.#.exr"),
            JobLimits(),
            saying("writes-more-than-files-each", 4000),
        ),
        (
            of_views(20),
            writes(1, "%V/x.#.exr"),
            JobLimits(files=20),
            saying("scene-writes-files-each-frame", 22, 20),
        ),
        (
            of_views(1, length=90),
            writes(1, "%V%V%V.#.exr"),
            JobLimits(),
            saying("name-view-makes-bad-file"),
        ),
    ],
    ids=["views", "files", "files-of-the-machine-type", "long-name"],
)
def test_a_nuke_script_with_too_many_views_is_refused(
    desk: Callable[[str], Desk], views: str, script: str, limits: JobLimits, message: saying
) -> None:
    farm = desk("nuke").run(claims=[[1]], extra=script, root=views, limits=limits)
    assert says(end(farm).message, message)
    assert end(farm).permanent


def test_a_node_of_nuke_that_names_very_many_views_takes_linear_time(
    desk: Callable[[str], Desk],
) -> None:
    # Each view is looked for among all that the node names: 500 * 3,000,000 times.
    named = " ".join(f"w{n}" for n in range(3_000_000))
    script = f'Write {{\n file %V/x.#.exr\n views "{named}"\n name V0\n}}\n'
    farm = desk("nuke").run(
        claims=[[1]],
        extra=script,
        root=of_views(500),
        limits=JobLimits(files=20),
        write_nodes="V0",
    )
    assert says(end(farm).message, "scene-writes-files-each-frame", 500)


def test_a_deeply_indented_node_of_nuke_takes_linear_time(desk: Callable[[str], Desk]) -> None:
    space = " " * (4 << 20)
    script = f"{space}Write {{\n" + "x\n" * 1_000_000 + f"{space}name X\n{space}}}\n"
    farm = desk("nuke").run(claims=[[1]], extra=script, write_nodes="Nowhere")
    there = "Write1, Write2, Disabled, X"
    assert end(farm).message == saying("script-no-write-node", "Nowhere", there)


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        ("Comp.Write1", ["grouped.0001.png"]),
        ("Comp.Inner.Inside", ["inner.0001.png"]),
        ("Inside", ["inner.0001.png"]),
        ("After,Comp.After", ["after.0001.png"]),
        ("Outside", ["alone.0001.png"]),
        # At the top: a group's node does not get in its way.
        ("Write1", ["a.0001.png"]),
        ("Comp.Write1, Write1", ["Comp.Write1/grouped.0001.png", "Write1/a.0001.png"]),
    ],
)
def test_nuke_nodes_in_groups_are_called_by_their_full_names(
    desk: Callable[[str], Desk], wanted: str, files: list[str]
) -> None:
    farm = desk("nuke").run(claims=[[1]], extra=GROUPED, write_nodes=wanted)
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert names(farm) == {1: files}


def test_a_name_that_two_groups_of_nuke_have_needs_the_groups(
    desk: Callable[[str], Desk],
) -> None:
    group = GROUPED[: GROUPED.rindex("Write {")]
    both = group + group.replace("Comp", "Other")
    farm = desk("nuke").run(claims=[[1]], extra=both, write_nodes="After")
    assert says(end(farm).message, "script-no-write-node", "After")
    assert "Comp.After" in end(farm).message
    assert "Other.After" in end(farm).message


def test_a_nuke_script_saved_in_proxy_mode_is_rendered_in_full(
    desk: Callable[[str], Desk],
) -> None:
    head = 'Root {\n format "32 24 0 0 32 24 1 small"\n proxy true\n proxy_scale 0.25\n}\n'
    place = desk("nuke")
    farm = place.run(claims=[[1]], root=head, write_nodes="Write1")
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    (output,) = farm.frames[1].outputs
    delivered = place.folder / "delivered.png"
    delivered.write_bytes(farm.blobs[output.hash])
    picture = oiio.ImageBuf(str(delivered)).spec()
    assert (picture.width, picture.height) == SIZE


def test_a_nuke_file_that_only_nuke_can_name_is_named_after_its_node(
    desk: Callable[[str], Desk],
) -> None:
    named = 'Write {\n file "\\[value root.name]_%04d.png"\n file_type png\n name Both\n}\n'
    farm = desk("nuke").run(claims=[[1]], extra=named, write_nodes="Both")
    assert names(farm) == {1: ["Both.0001.png"]}


@pytest.mark.parametrize(
    ("knobs", "files"),
    [
        ("file out/a_%V.%04d.png", ["a_left.0001.png", "a_right.0001.png"]),
        ("file out/a_%v.%04d.png", ["a_l.0001.png", "a_r.0001.png"]),
        ("file out/%V/a.%04d.png", ["left/a.0001.png", "right/a.0001.png"]),
        ("file out/a_%V.%04d.png\n views {right}", ["a_right.0001.png"]),
        ("file out/a.%04d.png", ["a.0001.png"]),
    ],
)
def test_each_view_of_nuke_is_delivered(
    desk: Callable[[str], Desk], knobs: str, files: list[str]
) -> None:
    views = 'Root {\n format "32 24 0 0 32 24 1 small"\n views "left #ff0000\nright #00ff00"\n}\n'
    write = f"Write {{\n {knobs}\n file_type png\n name Both\n}}\n"
    place = desk("nuke")
    farm = place.run(claims=[[1]], extra=write, write_nodes="Both", root=views)
    assert end(farm).outcome is Outcome.COMPLETED, farm.log
    assert names(farm) == {1: files}


def test_a_nuke_file_of_a_script_with_one_view_tells_its_view(desk: Callable[[str], Desk]) -> None:
    write = "Write {\n file out/a_%V.%04d.png\n file_type png\n name Both\n}\n"
    farm = desk("nuke").run(claims=[[1]], extra=write, write_nodes="Both")
    assert names(farm) == {1: ["a_main.0001.png"]}


def test_a_script_that_no_memory_holds_is_told(desk: Callable[[str], Desk]) -> None:
    made = desk("nuke")
    scene = made.folder / "project" / "huge.nk"
    with scene.open("wb") as file:
        file.truncate(33 << 20)
    farm = made.render(scene, claims=[[1]])
    assert end(farm).message == saying("larger-than-mb-which-too", "huge.nk", 32)
    assert end(farm).permanent


@pytest.mark.long
@pytest.mark.timeout(60)
def test_a_free_name_is_found_among_very_many(desk: Callable[[str], Desk], tmp_path: Path) -> None:
    """For the copy of the script: looking through all files for each name took minutes."""
    made = desk("nuke")
    for number in range(20_000):
        name = f".farm-{number}-scene.nk" if number else ".farm-scene.nk"
        (tmp_path / "project" / name).touch()
    assert end(made.run(claims=[[1]])).outcome is Outcome.COMPLETED
