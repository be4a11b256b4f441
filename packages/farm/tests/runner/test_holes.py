"""Results that are said to be larger than what they take on the disk."""

from pathlib import Path

import pytest
from farm_protocol.runner import JobLimits, Outcome, SandboxMode
from messages import says

from .in_process import end
from .test_limits import MEGABYTE, attack, in_both_worlds

HOLES = """
import json, shutil, sys
out = os.path.join(os.path.dirname(os.getcwd()), "output")
picture = os.path.join(os.path.dirname(sys.argv[0]), "picture.png")
shutil.copy(picture, os.path.join(out, "frame_0001.png"))
names = [f"{number}.bin" for number in range(FILES)]
for name in names:
    with open(os.path.join(out, name), "wb") as file:
        file.write(name.encode())
        file.truncate(30_000_000)
told = {"frame": 1, "files": ["frame_0001.png"], "extra": names, "seconds": 1.0}
print("farm_event: " + json.dumps({"event": "frame_written"} | told), flush=True)
"""


@pytest.mark.parametrize("files", [1, 3])
@in_both_worlds
def test_holes_in_results_count_as_what_they_are_for_the_farm(
    tmp_path: Path, sandbox: SandboxMode, files: int
) -> None:
    limits = JobLimits(disk_bytes=50 * MEGABYTE)
    farm = attack(tmp_path, f"FILES = {files}\n{HOLES}", sandbox, limits)
    if files == 1:
        assert end(farm).outcome is Outcome.COMPLETED
        return
    assert not farm.frames
    assert says(end(farm).message, "results-frame-larger-than-disk")
    assert end(farm).permanent
