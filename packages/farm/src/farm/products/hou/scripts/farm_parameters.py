"""The meaning of some documented parameters, for hython and husk alike: without Houdini.

Python 3.7 or newer.
"""

import fnmatch
import os
import re
from typing import Any

FRAME = re.compile(r"\$\{?F+\d*\}?|#+|%0?\d*d|<F+\d*>")
"""A frame number in a file name, as Houdini, artists, C and husk write it."""

_KEPT = re.compile(r"HIP\w*|HFS|HH|HOME|TMPDIR|PATH|F+|FPS|LD_\w*|PYTHON\w*")
"""Variables that Houdini or the farm sets; a job's values would break this machine's."""


def is_wanted(name: str, patterns: "list[str]") -> bool:
    """Return whether ``output_upload`` includes a file; folders do not count, and [] includes all.

    Empty patterns, such as empty lines in a form, match nothing.
    """
    base = os.path.basename(name)
    asked = [pattern for pattern in patterns if pattern.strip()]
    found = [FRAME.sub("*", pattern.rsplit("/", 1)[-1]) for pattern in asked]
    return not found or any(matches(base, pattern) for pattern in found)


def matches(name: str, pattern: str) -> bool:
    """Return whether a name matches a pattern of ``*``, ``?`` and ``[...]``.

    The number of steps is at most the product of their lengths. Before Python 3.9, `fnmatch` would
    never finish with a pattern of twenty stars.
    """
    signs = _signs(pattern)
    at = sign = 0
    star, after = -1, 0  # The last star, and where the name continues after what it stands for.
    while at < len(name):
        if sign < len(signs) and signs[sign] == "*":
            star, after = sign, at
            sign += 1
        elif sign < len(signs) and fnmatch.fnmatchcase(name[at], signs[sign]):
            at, sign = at + 1, sign + 1
        elif star >= 0:
            after += 1
            at, sign = after, star + 1
        else:
            return False
    return all(each == "*" for each in signs[sign:])


def _signs(pattern: str) -> "list[str]":
    """Split a pattern into stars and patterns of one character."""
    signs, at = [], 0
    while at < len(pattern):
        end = at + 1
        if pattern[at] == "[":
            first = at + 1 + pattern.startswith("!", at + 1)
            # An unclosed bracket is a literal; a leading "]" is a member of the set.
            end = max(end, pattern.find("]", first + 1) + 1)
        signs.append(pattern[at:end])
        at = end
    return signs


def environment_of(
    variables: "dict[str, Any]", project: str, gpu: bool
) -> "tuple[dict[str, str], list[str]]":
    """Return the environment from ``project_env`` and ``gpu``, and what was left out of it.

    Parameters:
        project: folder of the files; remote paths among the values become paths below it.

    Raises:
        ValueError: with a message, when a name is not valid for a variable.
    """
    given, kept = {"HOUDINI_OCL_DEVICETYPE": "GPU" if gpu else "CPU"}, []
    for name, value in variables.items():
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ValueError(
                f"'{name}' in project_env is not a valid name of an environment variable."
            )
        if _KEPT.fullmatch(name):
            kept.append(name)
        else:
            given[name] = str(local(value, project))
    return given, kept


def local(value: Any, project: str) -> Any:
    """Return the path on this machine if ``value`` is a remote path of the project."""
    if isinstance(value, str) and value.startswith("/"):
        root = value.lstrip("/").split("/", 1)[0]
        if root and os.path.isdir(os.path.join(project, root)):
            return os.path.join(project, value.lstrip("/"))
    return value
