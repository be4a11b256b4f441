"""Lines that condemn a renderer whatever its exit code, as the facts about renderers list them."""

import pytest
from farm.products import BUILT_IN
from farm.runner.claim.session import Ended
from farm.runner.claim.verdict import condemn, judge
from farm_protocol.runner import Outcome

FAILED, NO_LICENCE = Outcome.FAILED, Outcome.NO_LICENCE

# FFmpeg is not here: its errors come with exit code 1, and its lies are found in the film itself.
LINES = {
    "blender_render": {
        "Error: Found no Cycles device of the specified type": FAILED,
        "Error: Build without OpenImageDenoiser": FAILED,
        "Error: Format from '-F / --render-format' not known or not compiled": FAILED,
    },
    "c4d_render": {
        "Files cannot be written - please check output paths!": FAILED,
        "Error rendering project": FAILED,
        "Error rendering document": FAILED,
        "Error loading project": FAILED,
        "Error loading document": FAILED,
        "Document not found": FAILED,
        "Asset missing: wood.png": FAILED,
        "Unable to write file": FAILED,
        "Rendering failed": FAILED,
        "Frame rendering aborted": FAILED,
        "Enter the license method": NO_LICENCE,
        "No license found": NO_LICENCE,
    },
    "hou_render": {
        "No licenses could be found to run this application.": NO_LICENCE,
        "Please check for a valid license server host": NO_LICENCE,
        "License error": NO_LICENCE,
        "RuntimeError: Error encountered when initializing Houdini": FAILED,
        "Failed to create file": FAILED,
        "No devices found. Aborting rendering.": FAILED,
    },
    "hou_husk": {
        "No licenses could be found to run this application.": NO_LICENCE,
        "Please check for a valid license server host": NO_LICENCE,
        "License error": NO_LICENCE,
        "RuntimeError: Error encountered when initializing Houdini": FAILED,
        "Failed to create file": FAILED,
        "No devices found. Aborting rendering.": FAILED,
        "Error: Unable to find render delegate": FAILED,
        "USD ERROR: no camera": FAILED,
        "OIIO Error: Error writing data to subimage 0": FAILED,
        "Warning: in _ReportErrors -- Could not open asset @a.usd@ for payload": FAILED,
        "Could not load sublayer @a {1}.usd@ of layer @b.usd@; skipping.": FAILED,
    },
    "maya_render": {
        "// Maya exited with status 210": FAILED,
        "scene.ma failed to render.": FAILED,
        "Frame rendering aborted": FAILED,
        "Fatal Error. Attempting to save in /tmp/x.ma": FAILED,
        "(kFailure): Unexpected Internal Failure": FAILED,
        "[mtoa] Failed batch render": FAILED,
        "Camera side does not exist.": FAILED,
        "error: Could not obtain a license": NO_LICENCE,
        "R50001 {SEVERE} License": NO_LICENCE,
        "R50001 {SEVERE}  License": NO_LICENCE,
    },
    "nuke_render": {
        "ERROR: Write1: no such folder": FAILED,
        "[12:01.33] ERROR: Read1: no such file": FAILED,
        "A license for nuke was not found": NO_LICENCE,
        "FOUNDRY LICENSE ERROR REPORT": NO_LICENCE,
        "RLM : A suitable license does not exist": NO_LICENCE,
    },
    "vray_render": {
        "[2024/May/1|10:00:00] error: Could not load 'wood.png'": FAILED,
        "error: Could not obtain a license (-88).": NO_LICENCE,
    },
}


@pytest.mark.parametrize(
    ("template", "line", "outcome"),
    [(name, *each) for name, lines in LINES.items() for each in lines.items()],
)
def test_a_line_condemns_in_spite_of_exit_code_0(
    template: str, line: str, outcome: Outcome
) -> None:
    symptoms = BUILT_IN.template(template).symptoms
    finish = judge(Ended(0, None), condemn(line, symptoms), [], None, "", symptoms)
    assert (finish.outcome, finish.marker) == (outcome, line)


@pytest.mark.parametrize("template", LINES)
def test_a_renderer_that_says_nothing_of_the_kind_succeeds(template: str) -> None:
    symptoms = BUILT_IN.template(template).symptoms
    assert condemn("Rendering frame 1 of 10", symptoms) is None
    assert judge(Ended(0, None), None, [], None, "", symptoms).outcome is Outcome.COMPLETED
