"""What a runner makes of the files that the farm names."""

from contextlib import closing

from farm.runner.farm_client import Farm
from farm_protocol.files import KnownFile
from farm_protocol.runner import RunnerJob, TicketSource

from .fake_farm import TOKEN, FakeFarm


def test_the_last_file_of_a_path_is_meant() -> None:
    files = [KnownFile(path=f"show/{name}", hash=x * 64, size=1) for name, x in ("a1", "b2", "a3")]
    job = RunnerJob(
        job_id="job1",
        name="beauty",
        app="blender",
        app_version="",
        operation="render",
        template="blender_render",
        scene="show/a",
        parameters={},
        plugins=[],
        files=files,
        output_folder="show/results",
        source=TicketSource(),
    )
    made = FakeFarm(job, [])
    try:
        with closing(Farm(made.url, TOKEN)) as farm:
            assert farm.job().files == [files[2], files[1]]
    finally:
        made.down()
