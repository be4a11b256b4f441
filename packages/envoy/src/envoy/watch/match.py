"""Which results a watch wants, and where they go. Pure.

A watch's pattern is a regular expression for `re.match` over remote paths with their leading
slash. Scripts build it as ``'{0}/.+'.format(project.remote_output_folder)`` without escaping, so
a pattern that begins with the output folder, or one of the folders above it, means those
characters literally: the project ``shot (v2)`` must find its frames.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from envoy.journal import Watch

MOST_PATTERN_CHARACTERS = 4096
_QUANTIFIERS = frozenset("*+?{")


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str, output_folder: str) -> re.Pattern[str]:
    """Return the regular expression that a watch's pattern means.

    Parameters:
        output_folder: the submission's, canonical (no leading slash).

    Raises:
        ValueError: it is not a regular expression; ``str()`` says why.
    """
    if len(pattern) > MOST_PATTERN_CHARACTERS:
        raise ValueError(f"It is longer than {MOST_PATTERN_CHARACTERS} characters.")
    prefix = _literal_prefix(pattern, output_folder)
    try:
        return re.compile(re.escape(prefix) + pattern[len(prefix) :], re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"It is not a regular expression ({error}).") from error


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
        wanted = compile_pattern(watch.pattern, output_folder)
        matches = wanted.match(f"/{clean}") or wanted.match(clean)
        if matches and watch.folder not in seen:
            seen.add(watch.folder)
            yield watch.folder, relative
