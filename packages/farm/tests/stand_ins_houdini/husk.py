"""Stand-in for ``husk``, the vendor's renderer of USD stages. [D]

    husk [options] usd_file [-o image_file]

    -f / --frame N           first frame; 1
    -n / --frame-count N     how many; 1
    -i / --frame-inc N       distance; 1
    -o / --output PATH       image, with ``$F``, ``$F4``, ``<F4>`` or ``%04d``
    -r / --res W H           size
    -R / --renderer NAME     BRAY_HdKarma (default), BRAY_HdKarmaXPU
    -s / --settings PATH, -c / --camera PATH, -p / --pixel-samples N, --engine cpu|xpu
    -V / --verbose LEVEL     ``a`` before the level adds ``ALF_PROGRESS`` lines
    --make-output-path       makes the image's folder
    --help, --version

SIGUSR1 writes a snapshot of the current frame beside its image; that it is called
``<stem>_part<extension>`` is a choice of ours, as are the texts of refusals and the exit code 1.
"""

import json
import os
import re
import signal
import sys

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


def fail(message: str) -> None:
    """End with an error."""
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(1)


def parse(arguments: "list[str]") -> "tuple[dict[str, list[str]], list[str]]":
    """Return (long option -> values, stages)."""
    options, stages, rest = {}, [], list(arguments)
    while rest:
        word = rest.pop(0)
        name = _SHORT.get(word, word)
        if name == "--make-output-path":
            options[name] = []
        elif name in _LONG:
            count = 2 if name == "--res" else 1
            if len(rest) < count:
                fail(f"Missing argument for {word}")
            options[name], rest = rest[:count], rest[count:]
            # A negative frame is a value, another option is not.
            for text in options[name] if name in _NUMBERS else ():
                if re.fullmatch(r"-?\d+", text) is None:
                    fail(f"Invalid number for {word}: {text}")
        elif word.startswith("-"):
            fail(f"Unknown option: {word}")
        else:
            stages.append(word)
    return options, stages


def orders_of(stage: str) -> "dict[str, object]":
    """Return the test orders in a ``.usda``; ends the process when it is none."""
    try:
        with open(stage, encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError):
        fail(f"Unable to open USD file {stage}")
    if not text.startswith("#usda 1.0"):
        fail(f"Unable to load USD file {stage}")
    match = re.search(r"^# stand-in: (.*)$", text, re.MULTILINE)
    return json.loads(match.group(1)) if match else {}


def name_of(pattern: str, frame: int) -> str:
    """Return the image's path for a frame."""

    def number(match: "re.Match[str]") -> str:
        digits = match.group(1) or match.group(2) or match.group(3) or "1"
        return f"{frame:0{int(digits)}d}"

    return _FRAME.sub(number, pattern)


def take_snapshots(path: str, width: int, height: int, frame: int) -> None:
    """From now on, write a snapshot of this frame when SIGUSR1 arrives."""
    stem, extension = os.path.splitext(path)

    def write(_number: int, _stack: object) -> None:
        _images.write(f"{stem}_part{extension}", width, height, frame)
        _render.say(f"Snapshot {stem}_part{extension}")

    signal.signal(signal.SIGUSR1, write)


def render(options: "dict[str, list[str]]", orders: "dict[str, object]") -> None:
    """Render all frames."""
    first, count, step = (
        int(options.get(name, [default])[0])
        for name, default in (("--frame", "1"), ("--frame-count", "1"), ("--frame-inc", "1"))
    )
    width, height = (int(text) for text in options.get("--res", ["64", "36"]))
    tells = options.get("--verbose", ["0"])[0].startswith("a")
    for frame in range(first, first + count * step, step):
        path = name_of(options["--output"][0], frame)
        take_snapshots(path, width, height, frame)
        if "--make-output-path" in options:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if orders.get("fail_at") == frame:
            fail(f"Unable to render frame {frame}")
        if orders.get("hang_at") == frame:
            _render.say(f"Rendering frame {frame}")
            while True:
                signal.pause()
        if orders.get("crash_at") == frame:
            os.kill(os.getpid(), signal.SIGSEGV)
        if tells:
            _render.say("ALF_PROGRESS 50%")
        if orders.get("lie_at") != frame:
            size = (
                (width // 2, height // 2) if orders.get("wrong_size") == frame else (width, height)
            )
            share = 0.5 if orders.get("truncate") == frame else None
            try:
                _images.write(path, *size, frame, share)
            except OSError:
                fail(f"Failed to create file {path}")
        if tells:
            _render.say("ALF_PROGRESS 100%")


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
    if options.get("--renderer", [_RENDERERS[0]])[0] not in _RENDERERS:
        fail(f"Unable to find render delegate {options['--renderer'][0]}")
    orders = orders_of(stages[0])
    if not licensed or orders.get("licence"):
        print("\n".join(_render.NO_LICENCE), file=sys.stderr)
        sys.exit(3)
    render(options, orders)


if __name__ == "__main__":
    main()
