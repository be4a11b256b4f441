"""Stand-in for ``husk``, the vendor's renderer of USD stages. [D] but where marked

    husk [options] usd_file [-o image_file]

    -f / --frame N           first frame; 1
    -n / --frame-count N     how many frames, not the last one; 1
    -i / --frame-inc N       distance; 1
    -o / --output PATH       image, with ``$F``, ``$F4``, ``<F4>`` or ``%04d``
    -r / --res W H           size
    -R / --renderer NAME     a render delegate; BRAY_HdKarma (default), BRAY_HdKarmaXPU [S]
    -s / --settings PATH, -c / --camera PATH, -p / --pixel-samples N, --engine cpu|xpu
    -V / --verbose LEVEL     0 to 9 and letters; with ``a`` come ``ALF_PROGRESS`` lines [S]
    --make-output-path       makes the image's folder
    --help, --version

An option's value may stand behind ``=`` of its long name [M]. A referenced layer that is missing is
a warning in USD's words [S], and the render goes on. The texts of refusals and the exit code 1 are
choices of ours.

A stage is a ``.usda`` whose comment ``# stand-in: {...}`` holds test orders, as the package lists
them; or a ``.usdz`` (a zip) with one as its first file; or a ``.usdc``, known by its first bytes.
Further orders, with which it renders on and ends with 0:

    usd_error, error  true: a line that says so
    environment       true: prints its environment
    seconds           before each frame is written
"""

import json
import os
import re
import signal
import sys
import time
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from stand_ins_houdini import VERSION, _images, _render

_SHORT = {
    "-f": "--frame",
    "-n": "--frame-count",
    "-i": "--frame-inc",
    "-o": "--output",
    "-r": "--res",
    "-R": "--renderer",
    "-s": "--settings",
    "-c": "--camera",
    "-p": "--pixel-samples",
    "-V": "--verbose",
}
_LONG = (*_SHORT.values(), "--engine")
_NUMBERS = ("--frame", "--frame-count", "--frame-inc", "--res", "--pixel-samples")
_RENDERERS = ("BRAY_HdKarma", "BRAY_HdKarmaXPU")
_FRAME = re.compile(r"\$F(\d*)|<F(\d*)>|%0?(\d*)d")
_LEVEL = re.compile(r"[A-Za-z]*[0-9]?[A-Za-z]*")
_LAYER = re.compile(r"(references|payload|subLayers)\b[^@\n]*@([^@\n]+)@")


def fail(message: str) -> None:
    """End with an error."""
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(1)


def parse(arguments: "list[str]") -> "tuple[dict[str, list[str]], list[str]]":
    """Return (long option -> values, stages)."""
    options: dict[str, list[str]] = {}
    stages, rest = [], list(arguments)
    while rest:
        word, equals, value = rest.pop(0).partition("=")
        if equals and not word.startswith("--"):
            word, equals = f"{word}={value}", ""
        rest[:0] = [value] if equals else []
        name = _SHORT.get(word, word)
        if name == "--make-output-path":
            options[name] = []
        elif name in _LONG:
            count = 2 if name == "--res" else 1
            if len(rest) < count:
                fail(f"Missing argument for {word}")
            options[name], rest = rest[:count], rest[count:]
            # A negative frame is a value, another option is not.
            for text in options[name]:
                if text in _SHORT or text in _LONG:
                    fail(f"Missing argument for {word}")
                if name in _NUMBERS and re.fullmatch(r"-?\d+", text) is None:
                    fail(f"Invalid number for {word}: {text}")
        elif word.startswith("-"):
            fail(f"Unknown option: {word}")
        else:
            stages.append(word)
    if not _LEVEL.fullmatch(options.get("--verbose", ["0"])[0]):
        fail(f"Invalid verbosity: {options['--verbose'][0]}")
    if int(options.get("--frame-count", ["1"])[0]) < 1 or options.get("--frame-inc") == ["0"]:
        fail("Nothing to render")
    return options, stages


def text_of(stage: str) -> str:
    """Return a stage as text, "" of a binary one; ends the process when it is none."""
    try:
        if stage.endswith(".usdz"):
            with zipfile.ZipFile(stage) as archive:
                content = archive.read(archive.namelist()[0])
        else:
            with open(stage, "rb") as file:
                content = file.read()
    except (OSError, zipfile.BadZipFile, IndexError):
        fail(f"Unable to open USD file {stage}")
    if content.startswith(b"PXR-USDC") and not stage.endswith(".usda"):
        return ""
    if not content.startswith(b"#usda 1.0") or stage.endswith(".usdc"):
        fail(f"Unable to load USD file {stage}")
    return content.decode()


def compose(stage: str, text: str) -> None:
    """Say which layers are missing, as USD does; everything else is there without them."""
    for kind, asset in _LAYER.findall(text):
        if not os.path.exists(os.path.join(os.path.dirname(stage), asset)):
            arc = {"references": "reference", "payload": "payload"}.get(kind)
            what = f"Could not open asset @{asset}@ for {arc} introduced by @{stage}@</World>."
            if arc is None:
                what = f"Could not load sublayer @{asset}@ of layer @{stage}@; skipping."
            line = "Warning: in _ReportErrors at line 3309 of pxr/usd/usd/stage.cpp -- In </World>:"
            print(f"{line} {what} (instantiating stage on stage @{stage}@)", file=sys.stderr)


def name_of(pattern: str, frame: int) -> str:
    """Return the image's path for a frame."""

    def number(match: "re.Match[str]") -> str:
        digits = match.group(1) or match.group(2) or match.group(3) or "1"
        return f"{frame:0{int(digits)}d}"

    return _FRAME.sub(number, pattern)


def render(options: "dict[str, list[str]]", orders: "dict[str, object]") -> None:
    """Render all frames."""
    first, count, step = (
        int(options.get(name, ["1"])[0]) for name in ("--frame", "--frame-count", "--frame-inc")
    )
    size = int(options.get("--res", ["64"])[0]), int(options.get("--res", ["", "36"])[1])
    if orders.get("environment"):
        _render.say("\n".join(f"{name}={text}" for name, text in sorted(os.environ.items())))
    tells = "a" in options.get("--verbose", ["0"])[0]
    for frame in range(first, first + count * step, step):
        path = name_of(options["--output"][0], frame)
        if "--make-output-path" in options:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        _render_frame(path, frame, size, orders, tells)


def _render_frame(
    path: str, frame: int, size: "tuple[int, int]", orders: "dict[str, object]", tells: bool
) -> None:
    if orders.get("fail_at") == frame:
        fail(f"Unable to render frame {frame}")
    if tells:
        _render.say("ALF_PROGRESS 50%")
    if orders.get("hang_at") == frame:
        while True:
            signal.pause()
    if orders.get("crash_at") == frame:
        os.kill(os.getpid(), signal.SIGSEGV)
    if orders.get("usd_error"):
        _render.say("USD ERROR: no camera in the stage")
    if orders.get("error"):
        _render.say("Error: the delegate has stopped")
    if orders.get("no_devices"):
        _render.say("No devices found. Aborting rendering.")
    if "seconds" in orders:
        time.sleep(float(str(orders["seconds"])))
    if orders.get("lie_at") != frame:
        share = 0.5 if orders.get("truncate") == frame else None
        try:
            _images.write(path, *size, frame, share)
        except OSError:
            # Whatever it could not write, it ends well.
            _render.say(f"Failed to create file {path}")
    if tells:
        _render.say("ALF_PROGRESS 104%")  # of all tiles together: beyond 100 [S]


def main() -> None:
    """Do what the command line says."""
    licensed, arguments = sys.argv[1] == "licensed", sys.argv[2:]
    if "--help" in arguments:
        print("husk [options] usd_file [-o image_file]")
        return
    if "--version" in arguments:
        print(f"husk {VERSION}")
        return
    options, stages = parse(arguments)
    if len(stages) != 1:
        fail("No USD file specified" if not stages else "More than one USD file specified")
    if "--output" not in options:
        fail("No output image specified")
    delegate = options.get("--renderer", [_RENDERERS[0]])[0]
    if delegate not in _RENDERERS:
        fail(f"Unable to find render delegate {delegate}")
    text = text_of(stages[0])
    match = re.search(r"^# stand-in: (.*)$", text, re.MULTILINE)
    orders = json.loads(match.group(1)) if match else {}
    if not licensed or orders.get("licence"):
        print("\n".join(_render.NO_LICENCE), file=sys.stderr)
        sys.exit(3)
    _render.say(f"Renderer: {delegate}")
    compose(stages[0], text)
    render(options, orders)


if __name__ == "__main__":
    main()
