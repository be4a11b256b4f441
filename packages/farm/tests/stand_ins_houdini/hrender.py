"""Stand-in for ``hrender``, the vendor's script that renders a ROP from a shell. [D]

    hrender    [options] -d output_driver file.hip [imagefile]
    hrender -e [options] -d output_driver file.hip

    -w pixels, -h pixels   size; one alone keeps the aspect ratio
    -F frame               a single frame
    -b fraction            image processing fraction, 0.01 to 1.0
    -t take                renders this take
    -o output              name of the output, with $F
    -v                     verbose
    -I                     interleaved
    -f start end           frame range, only with -e
    -i increment           only with -e

Errors end with the usage, ``Error: <sentence>`` and 1; the texts of the two best known ones are the
vendor's [S]. Compositing networks (``-c``) are refused here: no farm of ours uses them.
"""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

from stand_ins_houdini import _errors, _hou, _nodes, _render

_VALUES = {"-w": 1, "-h": 1, "-F": 1, "-b": 1, "-t": 1, "-o": 1, "-f": 2, "-i": 1, "-d": 1, "-c": 1}
_SWITCHES = ("-e", "-v", "-I")
_SCENES = (".hip", ".hipnc", ".hiplc")


def fail(message: str) -> None:
    """End as hrender does when it is used wrongly."""
    print("Usage:\n\nSingle frame:   hrender    [options] driver|cop file.hip [imagefile]")
    print(f"Frame range:    hrender -e [options] driver|cop file.hip\n\nError: {message}")
    sys.exit(1)


def parse(arguments: "list[str]") -> "tuple[dict[str, list[str]], list[str]]":
    """Return (option -> values, the other words)."""
    options, words, rest = {}, [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word in _SWITCHES:
            options[word] = []
        elif word in _VALUES:
            count = _VALUES[word]
            # A negative frame is a value, another option is not.
            values = [text for text in rest[:count] if re.match(r"-[A-Za-z]", text) is None]
            if len(values) < count:
                fail(f"argument {word}: expected {count} argument{'s' if count > 1 else ''}")
            options[word], rest = rest[:count], rest[count:]
        elif word.startswith("-"):
            fail(f"unrecognized arguments: {word}")
        else:
            words.append(word)
    return options, words


def check(options: "dict[str, list[str]]", words: "list[str]") -> None:
    """Refuse what hrender refuses."""
    if not words or not words[0].endswith(_SCENES):
        fail("Missing .hip motion file name.")
    if not os.path.isfile(words[0]):
        fail(f"Cannot find file: {words[0]}")
    if "-c" in options:
        fail("The stand-in has no compositing networks.")
    if "-d" not in options:
        fail("Must specify one of -c or -d.")
    if "-f" in options and "-e" not in options:
        fail("Cannot specify frame range without -e.")
    if "-i" in options and "-e" not in options:
        fail("Cannot specify frame increment without -e.")
    if "-F" in options and "-e" in options:
        fail("Cannot specify single frame with -e.")
    if "-e" in options and "-f" not in options:
        fail("Missing frame range (-f start end).")
    for name in sorted(set(options) & {"-w", "-h", "-F", "-f", "-i", "-b"}):
        for text in options[name]:
            try:
                float(text)
            except ValueError:
                fail(f"argument {name}: invalid value: {text!r}")
    if "-b" in options and not 0.01 <= float(options["-b"][0]) <= 1:
        fail("Image processing fraction must be 0.01 to 1.0.")


def override(node: _nodes.Node, options: "dict[str, list[str]]", words: "list[str]") -> None:
    """Set what the options say on the node. Raises AttributeError for what it does not have."""
    size = {name: int(options[name][0]) for name in ("-w", "-h") if name in options}
    if size:
        camera = _nodes.node_at(node._scene, node.parm("camera").evalAsString())
        width, height = camera.parm("resx").eval(), camera.parm("resy").eval()
        wanted_width = size.get("-w") or round(size["-h"] * width / height)
        wanted_height = size.get("-h") or round(size["-w"] * height / width)
        node.parm("override_camerares").set(1)
        node.parm("res_fraction").set("specific")
        node.parmTuple("res_override").set((wanted_width, wanted_height))
    output = options["-o"][0] if "-o" in options else (words[1] if len(words) > 1 else "")
    if output:
        node.parm("vm_picture").set(output)
    if "-t" in options:
        node.parm("take").set(options["-t"][0])
    node.parm("trange").set(1 if "-f" in options or "-F" in options else 0)
    if node.parm("soho_foreground") is not None:
        # hrender waits for Mantra, unlike the node by itself. Our reading of its documentation.
        node.parm("soho_foreground").set(1)


def main() -> None:
    """Render."""
    licensed, arguments = sys.argv[1] == "licensed", sys.argv[2:]
    options, words = parse(arguments)
    check(options, words)
    if not licensed:
        print("\n".join(_render.NO_LICENCE), file=sys.stderr)
        sys.exit(3)
    scene = _hou.install()
    try:
        scene.load(words[0], ignore_warnings=True)
        node = _nodes.node_at(scene, options["-d"][0])
        if node is None:
            node = _nodes.node_at(scene, f"/out/{options['-d'][0]}")
        if not isinstance(node, _nodes.RopNode):
            fail(f"Could not find output driver: {options['-d'][0]}")
        override(node, options, words)
        first, last = options.get("-f") or options.get("-F", [str(scene.frame)]) * 2
        step = int(float(options.get("-i", ["1"])[0]))
        node.render((int(float(first)), int(float(last)), step), verbose="-v" in options)
    except _errors.Error as error:
        print(f"hou.{error.exceptionTypeName()}: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
