"""Houdini's render.py: what is done as a whole."""

import pytest
from messages import says

from .houdini_rig import MANTRA, Houdini, node


def test_a_simulation_is_one_render_in_order(houdini: Houdini) -> None:
    houdini.write(out__g=node("geometry", sopoutput="$HIP/geo/$OS.$F.bgeo.sc"))
    run = houdini.render("1-5:2", "/out/g", whole="true")
    assert run.code == 0, run
    names = [(event["event"], event["frame"]) for event in run.events[1:]]
    assert names == [
        (name, frame) for frame in (1, 3, 5) for name in ("frame_started", "frame_written")
    ]
    assert run.files == houdini.delivered() == [f"g.{frame}.bgeo.sc" for frame in (1, 3, 5)]
    assert run.lines.count("Finished Rendering") == 1


def test_frames_of_a_simulation_appear_while_it_goes_on(houdini: Houdini) -> None:
    houdini.write(out__g=node("geometry", sopoutput="$HIP/g.$F.bgeo.sc"), stand_in={"crash_at": 3})
    run = houdini.render("1-4", "/out/g", whole="true")
    assert run.code != 0
    assert run.files == houdini.delivered() == ["g.1.bgeo.sc", "g.2.bgeo.sc"]


@pytest.mark.parametrize("orders", [{"at_end": True}, {"aov": "x"}])
def test_what_appears_at_the_end_is_reported_at_the_end(
    houdini: Houdini, orders: dict[str, object]
) -> None:
    houdini.write(out__mantra1=MANTRA, stand_in=orders)
    run = houdini.render("1-3", whole="true")
    assert run.code == 0, run
    assert [event["frame"] for event in run.of("frame_written")] == [1, 2, 3]
    assert run.files == [f"shot.000{frame}.png" for frame in (1, 2, 3)]
    extra = [name for event in run.of("frame_written") for name in event["extra"]]
    assert sorted([*run.files, *extra]) == houdini.delivered()


def test_one_file_for_all_frames(houdini: Houdini) -> None:
    houdini.write(out__a=node("alembic", filename="$HIP/$OS.abc"))
    run = houdini.render("1-3", "/out/a", whole="true")
    assert [event["files"] for event in run.of("frame_written")] == [[], [], ["a.abc"]]
    assert houdini.delivered() == ["a.abc"]


def test_a_file_cache_as_a_whole(houdini: Houdini) -> None:
    houdini.write(obj__g=node("geo"), obj__g__c=node("filecache::2.0", file="$HIP/c.$F.bgeo.sc"))
    run = houdini.render("1-2", "/obj/g/c", whole="true")
    assert run.files == houdini.delivered() == ["c.1.bgeo.sc", "c.2.bgeo.sc"]


@pytest.mark.parametrize("frames", ["1,3,4", "3-1:-1", "1-3,2"])
def test_a_simulation_of_anything_but_a_range(houdini: Houdini, frames: str) -> None:
    houdini.write()
    run = houdini.render(frames, whole="true")
    assert says(run.failure, "simulation-needs-single-range")
    assert run.of("failed")[0]["permanent"]


def test_gaps_in_a_simulation(houdini: Houdini) -> None:
    houdini.write(out__g=node("geometry", sopoutput="$HIP/g.$F.bgeo.sc"), stand_in={"lie_at": 2})
    run = houdini.render("1-4", "/out/g", whole="true")
    assert says(run.failure, "frame-not-written", 2)
    assert run.files == ["g.1.bgeo.sc", "g.3.bgeo.sc", "g.4.bgeo.sc"]


def test_output_upload_that_selects_nothing_of_a_simulation(houdini: Houdini) -> None:
    houdini.write()
    run = houdini.render("1-3", whole="true", upload=["*.tif"])
    assert says(run.failure, "render-writes-but-output-upload", "*.tif")
    assert houdini.delivered() == []
