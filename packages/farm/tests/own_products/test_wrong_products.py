"""What a studio's product says wrongly is told when the farm starts: its file and its field."""

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from farm.catalogue.definitions import CatalogueError, load_definitions
from farm.products import Library
from messages import saying, says

HERE = Path(__file__).parent

CHECK_BOX = {"control": "CHECK_BOX"}

NO_NEEDS = {"licences": False, "folders": []}
DROPDOWN = {"control": "DROPDOWN_LIST"}
ANY = {"any": ["/opt/ink"]}
STEP = {"name": "render", "script": {"actions": {"onRun": {"command": "sketch"}}}}
FRAME = "steps.0.parameterSpace.taskParameterDefinitions.0"
GOOD = "def read_scene(scene, partial, values): pass\n"
MORE: list[dict[str, object]] = [
    {"name": "kind", "type": "STRING", "default": "ink", "allowedValues": ["ink", "oil"]},
    {"name": "width", "type": "INT", "default": 0, "minValue": 0, "maxValue": 8},
    {"name": "count", "type": "INT", "default": 1, "minValue": 1},
    {
        "name": "gpu",
        "type": "STRING",
        "default": "false",
        "allowedValues": ["true", "false"],
        "userInterface": CHECK_BOX,
    },
]
"""Parameters of all types, beside those of the smallest product."""

WRONG: list[tuple[str, dict[str, Any], str | saying]] = [
    # file, field -> value (None: without it), what the error names
    ("render.farm.yaml", {"single_rnage": True}, "single_rnage"),
    ("render.farm.yaml", {"single_range": True}, "whole"),
    ("render.farm.yaml", {"failures": None}, "failures"),
    ("render.farm.yaml", {"frames": "frame"}, saying("no-parameter", "frame")),
    ("render.farm.yaml", {"needs": {"brush": "paint"}}, "paint"),
    ("render.farm.yaml", {"aliases": {"output_format": {"JPG": "JPEG"}}}, "aliases.output_format"),
    ("render.farm.yaml", {"patterns": {"brush": {"pattern": "(", "message": "x"}}}, "patterns"),
    ("render.farm.yaml", {"other_program": "paint"}, "paint.farm.yaml"),
    ("render.farm.yaml", {"other_program": "render"}, "other_program"),
    ("render.farm.yaml", {"like": "paint"}, "paint.farm.yaml"),
    ("render.farm.yaml", {"scene_module": "sketches"}, "sketches.py"),
    ("render.farm.yaml", {"objects": {"Ink": {"brush": "brush"}}}, "Ink"),
    ("render.farm.yaml", {"drive.command": ["{Scene}"]}, "{Scene}"),
    ("render.farm.yaml", {"drive.command": [{"when": "paint", "use": ["-a"]}]}, "paint"),
    ("render.farm.yaml", {"drive.writes": ["frame{nummer}.png"]}, "{nummer}"),
    ("render.farm.yaml", {"drive.writes": ["frame{number:d}.png"]}, "drive.writes"),
    ("render.farm.yaml", {"drive.command": ["{first"]}, "{first"),
    ("render.farm.yaml", {"refuses": {"names": ["paint"], "because": "is dry"}}, "paint"),
    (
        "render.yaml",
        {"parameterDefinitions": [{"name": "brush", "type": "INT"}] * 2},
        "brush",
    ),
    ("render.farm.yaml", {"drive.lines": {"started": "Drawing"}}, "(?P<frame>"),
    ("render.farm.yaml", {"outputs.extensions": {"PNG": "png", "EXR": "exr"}}, "EXR"),
    ("render.farm.yaml", {"timeouts.frame": {"seconds": -1, "parameter": "brush"}}, "seconds"),
    (
        "render.farm.yaml",
        {"failures.hopeless": [{"marker": "no (?P<file>.*)", "message": "No {path}."}]},
        "{path}",
    ),
    ("render.yaml", {"parameterDefinitions": [{"type": "INT"}]}, "parameterDefinitions.0.name"),
    ("render.yaml", {"dsecription": "Draws."}, "dsecription"),
    ("render.yaml", {"specificationVersion": "jobtemplate-1999-01"}, "specificationVersion"),
    ("render.yaml", {"steps": []}, "steps"),
    *(
        ("render.yaml", {"parameterDefinitions": [{"name": "brush", **each}]}, named)
        for each, named in (
            ({"type": "INT", "mniValue": 1}, "mniValue"),
            ({"type": "STRING", "dfeault": ""}, "dfeault"),
            ({"type": "STRING", "userInterface": {"cnotrol": "CHECK_BOX"}}, "cnotrol"),
            ({"type": "STRING", "default": "yes", "userInterface": CHECK_BOX}, "CHECK_BOX"),
            ({"type": "BOOL"}, "type"),
            ({"type": "INT", "default": "abc"}, "parameterDefinitions.0"),
            ({"type": "INT", "default": -5, "minValue": 0}, "parameterDefinitions.0"),
            ({"type": "INT", "minValue": 9, "maxValue": 3}, "parameterDefinitions.0"),
            ({"type": "STRING", "default": "TGA", "allowedValues": ["PNG"]}, "Definitions.0"),
        )
    ),
    ("program.yaml", {"nmaes": ["sketch"]}, "nmaes"),
    ("program.yaml", {"series": "("}, "series"),
    ("program.yaml", {"version": [{"ask": ["--version"]}]}, "version"),
    # Values of another type: nothing is taken for what it may have meant.
    ("render.farm.yaml", {"whole": "yes"}, "'whole'"),
    ("render.farm.yaml", {"whole": 1}, "'whole'"),
    ("render.farm.yaml", {"timeouts.frame.seconds": "60"}, "'timeouts.frame.seconds'"),
    ("render.farm.yaml", {"timeouts.frame.seconds": True}, "'timeouts.frame.seconds'"),
    ("render.farm.yaml", {"timeouts.frame.seconds": float("inf")}, "'timeouts.frame.seconds'"),
    ("render.farm.yaml", {"failures.no_licence.exit_codes": ["3"]}, "exit_codes.0"),
    ("render.farm.yaml", {"aliases": {"output_format": {1: "PNG"}}}, "aliases.output_format"),
    ("render.farm.yaml", {"description": date(2026, 1, 1)}, "'description'"),
    ("render.yaml", {"parameterDefinitions.3.default": True}, "parameterDefinitions.3.default"),
    ("render.yaml", {"parameterDefinitions.4.minValue": "0"}, "parameterDefinitions.4.minValue"),
    ("render.yaml", {"parameterDefinitions.0.default": ...}, "parameterDefinitions.0"),
    ("program.yaml", {"levels_up": "1"}, "'levels_up'"),
    ("program.yaml", {"python": "no"}, "'python'"),
    ("product.yaml", {"plugins": {"ink": {"name": "Ink", "needs_gpu": "yes"}}}, "needs_gpu"),
    ("product.yaml", {"versions": [1.2]}, "versions.0"),
    # What OpenJD itself would tell an artist's job.
    *(
        ("render.yaml", {f"steps.0.script.actions.onRun.{field}": text}, named)
        for field, text, named in (
            ("args.0", "{{Param.Sahred}}", "Param.Sahred"),
            ("args.0", "{{Param.brsh}}", "Param.brsh"),
            ("args.0", "{{Task.Param.Frmae}}", "Task.Param.Frmae"),
            ("args.0", "{{Param.Shared", "args.0"),
            ("command", "{{Param.Pythn}}", "Param.Pythn"),
            ("cancelation", {"mode": "TERMINTAE"}, "cancelation"),
            ("timeoutt", 5, "timeoutt"),
        )
    ),
    ("render.yaml", {"steps.0.script.actoins": {}}, "actoins"),
    ("render.yaml", {"steps.0.scriptt": {}}, "scriptt"),
    ("render.yaml", {"steps.0.hostRequirements": {}}, "hostRequirements"),
    ("render.yaml", {"jobEnvironments": []}, "jobEnvironments"),
    ("render.yaml", {"steps": [STEP, STEP]}, "steps"),
    ("render.yaml", {"extensions": ["TASK_CHUNKING", "EXPR_"]}, "EXPR_"),
    ("render.yaml", {"extensions": []}, "render.yaml"),
    ("render.yaml", {"parameterDefinitions.4.userInterface": DROPDOWN}, "DROPDOWN_LIST"),
    ("render.yaml", {"parameterDefinitions.3.userInterface": {"control": "SPIN_BOX"}}, "control"),
    ("render.yaml", {f"{FRAME}.type": "INT"}, "parameterSpace"),
    ("render.yaml", {f"{FRAME}.chunks.rangeConstraint": "CONTIGUOUS"}, "parameterSpace"),
    ("render.yaml", {f"{FRAME}.range": "{{Param.FrameRnage}}"}, "Param.FrameRnage"),
    ("render.yaml", {f"{FRAME}.range": "{{Param.Python}}"}, "render.yaml"),
    ("render.yaml", {"parameterDefinitions.8": {"name": "Rendrer", "type": "STRING"}}, "Rendrer"),
    ("render.yaml", {"parameterDefinitions.8.type": "INT"}, "Renderer"),
    (
        "render.yaml",
        {
            "parameterDefinitions.8": {
                "name": "RendererKind",
                "type": "STRING",
                "allowedValues": ["pencil"],
            }
        },
        "RendererKind",
    ),
    ("render.yaml", {"parameterDefinitions.14": None}, "'Orders'"),
    ("render.yaml", {"parameterDefinitions.4.allowedValues": ["1"]}, "allowedValues"),
    ("render.yaml", {"parameterDefinitions.3.minValue": 1}, "minValue"),
    ("render.yaml", {"parameterDefinitions.2.allowedValues": []}, "allowedValues"),
    ("render.yaml", {"parameterDefinitions.1.maxLength": 3}, "maxLength"),
    # Fields that mean something only for a certain parameter, value, file or expression.
    *(
        ("render.farm.yaml", changes, named)
        for changes, named in (
            ({"frames": "frame_timeout"}, "frames"),
            ({"frames": "output_format"}, "frames"),
            ({"types": {"frame_timeout": "rate"}}, "types.frame_timeout"),
            ({"types": {"output_format": "path"}}, "types.output_format"),
            ({"types": {"output_prefix": "list"}}, "types.output_prefix"),
            ({"types": {"output_prefix": "rate"}}, "types.output_prefix"),
            ({"types": {"brush": "int"}}, "types.brush"),
            ({"types": {"frames": "path"}}, "frames"),
            ({"aliases": {"brush": {"paint": "oil"}}}, "aliases.brush"),
            ({"aliases": {"kind": {"OIL": "ink"}}}, "aliases.kind.OIL"),
            ({"aliases": {"kind": {"dry": "ink", "D-R-Y": "oil"}}}, "aliases.kind"),
            ({"aliases": {"kind": {}}}, "aliases.kind"),
            ({"refused": {"brush": {"wax": "It melts."}}}, "refused.brush"),
            ({"refused": {"kind": {"Oil": "It drips."}}}, "refused.kind.Oil"),
            ({"refused": {"kind": {"wax": ""}}}, "refused.kind.wax"),
            ({"patterns": {"kind": {"pattern": ".*", "message": "x"}}}, "patterns.kind"),
            ({"patterns": {"frame_timeout": {"pattern": ".*", "message": "x"}}}, "patterns.frame"),
            ({"patterns": {"brush": {"pattern": ".+", "message": "x"}}}, "patterns.brush"),
            ({"least": {"brush": 3}}, "least.brush"),
            ({"least": {"width": 9}}, "least.width"),
            ({"least": {"count": 2}}, "least.count"),
            ({"most": {"brush": {"of": "kind", "is": {"oil": 3}}}}, "most.brush"),
            ({"most": {"width": {"of": "brush", "is": {"oil": 3}}}}, "most.width.of"),
            ({"most": {"width": {"of": "kind", "is": {"wax": 3}}}}, "most.width.is"),
            ({"most": {"width": {"of": "kind", "is": {}}}}, "most.width.is"),
            ({"most": {"width": {"of": "kind", "is": {"oil": "3"}}}}, "most.width.is.oil"),
            ({"needs": {"brush": "brush"}}, "needs.brush"),
            ({"needs_plugin": {"brush": {"oil": "ink"}}}, "needs_plugin.brush"),
            ({"needs_plugin": {"kind": {"wax": "ink"}}}, "needs_plugin.kind"),
            ({"needs_gpu": {"kind": ["wax"]}}, "needs_gpu.kind"),
            ({"needs_gpu": {"kind": ["OIL"]}}, "needs_gpu.kind"),
            ({"needs_gpu": {"kind": []}}, "needs_gpu.kind"),
            ({"needs_gpu": {"gpu": ["true"]}}, "needs_gpu.gpu"),
            ({"needs_gpu": {"gpu": [1]}}, "needs_gpu.gpu"),
            ({"needs_gpu": {"width": ["4"]}}, "needs_gpu.width"),
            ({"colours": {"of": "blender", "when": {"kind": ["wax"]}}}, "colours.when.kind"),
            ({"colours": {"of": "nuke", "when": {"kind": ["oil"]}}}, "colours.of"),
            ({"colours": {"of": "blendr", "when": {"kind": ["oil"]}}}, "colours.of"),
            ({"refuses": {"names": ["brush"], "because": "is dry"}}, "refuses"),
            ({"ignores": {"names": ["paint"], "because": "is dry"}}, "ignores"),
            ({"ignores": {"names": [], "because": "is dry"}}, "ignores.names"),
            ({"prefixes": ["width"]}, "prefixes"),
            ({"naming": "width"}, "naming"),
            ({"naming": "output_prefix"}, "naming"),
            ({"outputs.prefix": "kind"}, "outputs.prefix"),
            ({"outputs.format": "brush"}, "outputs.format"),
            ({"outputs.extensions.PNG": "../png"}, "outputs.extensions.PNG"),
            ({"outputs.extensions.PNG": ".png"}, "outputs.extensions.PNG"),
            ({"scenes": [".sketch"]}, "scenes.0"),
            ({"scenes": ["Sketch"]}, "scenes.0"),
            ({"program": "bin/sketch"}, "program"),
            ({"operation": "draw"}, "draw.farm.yaml"),
            ({"like": "render"}, "render.farm.yaml"),
            ({"objects": {"Renderer": {"brush": "brush"}}}, "objects"),
            ({"objects": {"FrameCount": {"brush": "brush"}}}, "objects"),
            ({"scene_values": ["Renderer"]}, "scene_values"),
            ({"drive": None}, "scene_module"),
            ({"scene_module": None, "drive.writes": []}, "drive.writes"),
            ({"outputs": None, "drive.stems": {}}, "{extension}"),
            ({"timeouts.frame.parameter": "brush"}, "timeouts.frame"),
            ({"timeouts.silence.parameter": "gpu"}, "timeouts.silence"),
            ({"failures.markers": [""]}, "failures.markers.0"),
            ({"failures.markers": [".*"]}, "failures.markers.0"),
            ({"failures.markers": ["a", "(?i)b"]}, "(?i)b"),
            ({"failures.markers": [r"(a)\1"]}, "failures"),
            ({"failures.markers": ["(?P<a>b)"]}, "failures"),
            ({"failures.no_licence.markers": [""]}, "no_licence.markers.0"),
            ({"failures.no_licence.exit_codes": [0]}, "exit_codes.0"),
            ({"warnings": [{"marker": "", "message": "x"}]}, "warnings.0.marker"),
            ({"sandbox.visible": ["some folder"]}, "sandbox.visible.0"),
            ({"sandbox.plugins": {"ink": {**NO_NEEDS, "program": "paint"}}}, "program"),
            ({"sandbox.plugins": {"ink": {**NO_NEEDS, "folders": ["A B"]}}}, "folders.0"),
            ({"drive.command": []}, "drive.command"),
            ({"drive.command": [3]}, "drive.command.0"),
            ({"drive.command": [{"optional": ["--dry"]}]}, "drive.command"),
            ({"drive.command": [{"optional": ["{first}"]}]}, "drive.command"),
            ({"drive.command": [{"optionalx": ["{brush}"]}]}, "optionalx"),
            ({"drive.command": [{"when": "brush", "uses": ["a"]}]}, "uses"),
            ({"drive.writes": ["frame.png"]}, "drive.writes"),
            ({"drive.writes": ["../{number}.png"]}, "drive.writes"),
            ({"drive.size": ["width"]}, "drive"),
            ({"drive.size": ["width", "brush"]}, "drive.size"),
            ({"drive.stems": {"frame": "width"}}, "drive.stems"),
            ({"drive.words": {"kind": {"wax": "1"}}}, "drive.words.kind"),
            ({"drive.words": {"gpu": {"yes": "1"}}}, "drive.words.gpu"),
            ({"drive.environment": {"A": "{first}"}}, "drive.environment"),
            ({"drive.environment": {"A B": "x"}}, "drive.environment"),
            ({"drive.setup": "bin/setup"}, "drive.setup"),
        )
    ),
    *(
        ("program.yaml", changes, named)
        for changes, named in (
            ({"names": []}, "'names'"),
            ({"names": ["bin/sketch"]}, "names.0"),
            ({"version": []}, "'version'"),
            ({"version.0.pattern": "Sketch"}, "version.0.pattern"),
            ({"version": [{"path": "sketch"}]}, "version.0.path"),
            ({"version.0": {"path": "(.)", "beside": "ink"}}, "version.0"),
            ({"folders": {"linux": ["/opt/{folder}/x"]}}, "folders.linux.0"),
            ({"folders": {"linx": []}}, "folders.linx"),
            ({"colours": {"any": ["{fodler}/config.ocio"]}}, "colours.any.0"),
            ({"colours": {"any": ["/opt/$HOME/config.ocio"]}}, "colours.any.0"),
            ({"plugins": {"ink": []}}, "plugins.ink"),
            ({"plugins": {"ink": [{"at": {}}]}}, "plugins.ink.0.at"),
            ({"plugins": {"ink": [{"at": {"any": ["/{sries}"]}}]}}, "plugins.ink.0.at.any.0"),
            ({"plugins": {"ink": [{"at": ANY, "text": "x"}]}}, "plugins.ink.0.text"),
            ({"plugins": {"ink": [{"at": ANY, "environment": {"A": "{placee}"}}]}}, "{placee}"),
            ({"plugins": {"ink": [{"at": ANY}]}}, "'ink'"),
        )
    ),
    *(
        ("product.yaml", changes, named)
        for changes, named in (
            ({"namee": "x"}, "namee"),
            ({"name": ""}, "'name'"),
            ({"operations": {}}, "'operations'"),
            ({"operations.draw": "sketch_draw"}, "operations.draw"),
            ({"operations": {"render": "vray_render"}}, "operations.render"),
            ({"operations": {"draw": "sketch_render"}}, "operations.draw"),
            ({"plugins": {"ink": {"name": "Ink", "provided_by": "inkk"}}}, "provided_by"),
            ({"plugins": {"ink": {"name": "Ink", "works_with": {"1..": ["all"]}}}}, "works_with"),
            ({"licence_servers": ["sketch"]}, "licence_servers.0"),
            ({"licence_servers": ["[1:2]:5"]}, "licence_servers.0"),
            ({"credits_per_hour": {"cpu": "much"}}, "credits_per_hour.cpu"),
        )
    ),
]


def sketch(folder: Path) -> Path:
    """Copy the smallest product, give it more parameters."""
    place = folder / "sketch"
    shutil.copytree(HERE / "sketch", place)
    file = place / "render.yaml"
    content = yaml.safe_load(file.read_text())
    content["parameterDefinitions"] += MORE
    file.write_text(yaml.safe_dump(content))
    return place


def told_of(folder: Path) -> str:
    """Return what the farm says at its start of the products in a folder."""
    with pytest.raises(CatalogueError) as error:
        load_definitions(None, Library([folder]))
    return str(error.value)


def change(file: Path, changes: dict[str, Any]) -> None:
    """Set fields of a YAML file; None removes one, and ... sets nothing."""
    content = yaml.safe_load(file.read_text())
    for field, value in changes.items():
        *above, last = field.split(".")
        part = content
        for each in above:
            part = part[int(each)] if isinstance(part, list) else part.setdefault(each, {})
        key: Any = int(last) if isinstance(part, list) else last
        if value is None:
            del part[key]
        else:
            part[key] = None if value is ... else value
    file.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(("file", "changes", "named"), WRONG)
def test_what_is_wrong_is_named_with_its_file(
    tmp_path: Path, file: str, changes: dict[str, object], named: str | saying
) -> None:
    sketch(tmp_path)
    change(tmp_path / "sketch" / file, changes)

    message = told_of(tmp_path)

    assert str(tmp_path / "sketch") in message
    assert says(message, named) if isinstance(named, saying) else named in message
    # Pydantic's own words are for programmers.
    assert not any(word in message for word in ("Input should", "pydantic", "inputs", "Field "))


LIKE = "like: render\n"


@pytest.mark.parametrize(
    ("files", "named"),
    [
        # file -> content (None: without it), what the error names
        ({"program.yaml": None}, "program.yaml"),
        ({"product.yaml": None}, "product.yaml"),
        ({"draw.yaml": "{}"}, "draw.yaml"),
        ({"render.yml": "{}"}, "render.yml"),
        ({"Draw.farm.yaml": LIKE}, "Draw.farm.yaml"),
        ({"draw.farm.yaml": LIKE}, "sketch_draw"),
        ({"draw.farm.yaml": LIKE, "paint.farm.yaml": "like: draw\n"}, "paint.farm.yaml: like"),
        ({"draw.farm.yaml": "like: 1\n"}, "draw.farm.yaml: like"),
        ({"scene.py": "def read_scene(scene):"}, "scene.py"),
        ({"scene.py": "raise SystemExit(0)"}, "scene.py"),
        ({"scene.py": "import nowhere"}, "scene.py"),
        ({"scene.py": "read_scene = 1"}, "scene.py"),
        ({"scene.py": "def read_scene(scene): pass"}, "scene.py"),
        ({"scene.py": GOOD + "def image_name(scene): pass"}, "image_name"),
        ({"render.yaml": "- a"}, "render.yaml"),
        ({"render.yaml": "{a: [b}"}, "render.yaml"),
    ],
)
def test_files_that_would_be_passed_over_or_fail_later(
    tmp_path: Path, files: dict[str, str | None], named: str
) -> None:
    place = sketch(tmp_path)
    for name, text in files.items():
        if text is None:
            (place / name).unlink()
        else:
            (place / name).write_text(text)

    message = told_of(tmp_path)

    assert str(place) in message
    assert named in message


def test_a_folder_that_would_be_passed_over(tmp_path: Path) -> None:
    place = sketch(tmp_path)
    assert str(place) in told_of(place)  # It is no folder of products.

    named = place.rename(tmp_path / "Sketch_2")
    assert str(named) in told_of(tmp_path)


def test_scenes_of_both_programs_are_told_apart(tmp_path: Path) -> None:
    place = sketch(tmp_path)
    (place / "draw.farm.yaml").write_text("like: render\noperation: render\n")
    change(place / "render.farm.yaml", {"other_program": "draw"})
    (place / "draw.farm.yaml").write_text("{like: render, operation: render, other_program: ''}")

    assert says(told_of(tmp_path), "other-program-scenes-other-kinds")


@pytest.mark.parametrize(("field", "text"), [("minLength", "a"), ("maxLength", "abcde")])
def test_lengths_of_texts_hold_when_a_job_is_submitted(
    tmp_path: Path, field: str, text: str
) -> None:
    place = sketch(tmp_path)
    change(place / "render.yaml", {"parameterDefinitions.3.default": "ink"})
    change(place / "render.yaml", {f"parameterDefinitions.3.{field}": 3})

    found = load_definitions(None, Library([tmp_path])).library.template("sketch_render")

    assert "brush" in found.validate({"frames": "1", "brush": text}).errors
    assert not found.validate({"frames": "1", "brush": "oil"}).errors
