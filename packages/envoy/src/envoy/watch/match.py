"""Which results a watch wants, and where they go. Pure.

A watch's pattern is a regular expression for `re.match` over remote paths with their leading
slash. Scripts build it as ``'{0}/.+'.format(project.remote_output_folder)`` without escaping, so
a pattern that begins with the output folder, or one of the folders above it, means those
characters literally: the project ``shot (v2)`` must find its frames.

Patterns are matched in linear time (`farm_protocol.patterns`), which rules some out. The journal
may have such ones from an older Envoy: they are skipped, and named in the status.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from farm_protocol.patterns import Pattern, PatternError

from envoy.journal import Watch

MOST_PATTERN_CHARACTERS = 4096
MOST_WATCHES = 1000
"""Limit on the watches of a submission."""
MOST_COMPILED = 2 * MOST_WATCHES
"""Compiled patterns kept. More than one submission has: each of its results is matched against all
of them, and compiling a thousand takes up to two minutes.
"""
MOST_INSTRUCTIONS = 1_000_000
"""Limit on the compiled patterns of a submission together: some megabytes."""
_QUANTIFIERS = frozenset("*+?{")


def compile_pattern(pattern: str, output_folder: str) -> Pattern:
    """Return the compiled pattern of a watch.

    Parameters:
        output_folder: the submission's, canonical (no leading slash).

    Raises:
        PatternError: it cannot be used; ``str()`` says why.
    """
    compiled = _compiled(pattern, output_folder)
    if isinstance(compiled, str):
        raise PatternError(compiled)
    return compiled


@lru_cache(maxsize=MOST_COMPILED)
def _compiled(pattern: str, output_folder: str) -> Pattern | str:
    """Return the pattern, or why it cannot be used: both are determined only once."""
    if len(pattern) > MOST_PATTERN_CHARACTERS:
        return f"The pattern is longer than {MOST_PATTERN_CHARACTERS} characters. Shorten it."
    prefix = _literal_prefix(pattern, output_folder)
    try:
        return Pattern(re.escape(prefix) + pattern[len(prefix) :], re.DOTALL)
    except PatternError as error:
        return str(error)


def _literal_prefix(pattern: str, output_folder: str) -> str:
    folder = output_folder
    while folder:
        for prefix in (f"/{folder}", folder):
            rest = pattern[len(prefix) :]
            # 'out+' repeats the last letter of 'out': then the folder's name is not meant.
            if pattern.startswith(prefix) and rest[:1] not in _QUANTIFIERS:
                return prefix
        folder = folder.rpartition("/")[0]
    return ""


def unusable(output_folder: str, watches: Iterable[Watch]) -> list[str]:
    """Return a message for each watch whose pattern cannot be used."""
    found = [(watch.pattern, _compiled(watch.pattern, output_folder)) for watch in watches]
    return [
        f"Nothing is downloaded for the watch '{pattern[:100]}'. {compiled}"
        for pattern, compiled in found
        if isinstance(compiled, str)
    ]


def relative_to(path: str, folder: str) -> str | None:
    """Return ``path`` below the remote ``folder``, or None when it is elsewhere."""
    clean = path.removeprefix("/")
    return clean[len(folder) + 1 :] or None if clean.startswith(f"{folder}/") else None


def destinations(
    path: str, output_folder: str, watches: Iterable[Watch]
) -> Iterator[tuple[str, str]]:
    """Yield (local folder, path below it) for each watch that wants a result; folders once.

    The path below the folder comes from the farm and is not checked here.
    """
    relative = relative_to(path, output_folder)
    if relative is None:
        return
    clean = path.removeprefix("/")
    seen: set[str] = set()
    for watch in watches:
        wanted = _compiled(watch.pattern, output_folder)
        if isinstance(wanted, str):
            continue
        matches = wanted.match(f"/{clean}") or wanted.match(clean)
        if matches and watch.folder not in seen:
            seen.add(watch.folder)
            yield watch.folder, relative
