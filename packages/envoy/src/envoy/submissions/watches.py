"""Which results a submission brings home, and where to: each folder is looked at once, now."""

import os
from pathlib import Path

from farm_protocol.paths import UnsafePathError, check_segment
from farm_protocol.patterns import PatternError

from envoy.errors import Errors
from envoy.journal import Watch
from envoy.submissions.wire import SubmitBody
from envoy.watch.match import MOST_INSTRUCTIONS, MOST_WATCHES, compile_pattern


def watches_of(body: SubmitBody, output_folder: str, errors: Errors) -> tuple[Watch, ...]:
    """Return the watches of a submission: those that it names, or one for all of its results."""
    params = body.project_request.params
    local_root = params.local_root or next((g.local_root for g in body.project_files), "")
    found: list[Watch] = []
    if len(body.watch_files) > MOST_WATCHES:
        message = f"A submission has at most {MOST_WATCHES} watches, not {len(body.watch_files)}."
        errors.setdefault("watch_files", []).append(message)
        return ()
    size = 0
    for pattern, folder in body.watch_files.items():
        field = f"watch_files[{pattern}]"
        real = ""
        try:
            real = _real_folder(folder, local_root)
        except ValueError as error:
            errors.setdefault(field, []).append(str(error))
        try:
            size += compile_pattern(pattern, output_folder).size
        except PatternError as error:
            errors.setdefault(field, []).append(str(error))
        found.append(Watch(pattern, folder, real))
        if size > MOST_INSTRUCTIONS:
            message = (
                "Together, the patterns of the watches are too large. Use fewer or simpler ones, or"
                " split the jobs over several submissions."
            )
            errors.setdefault("watch_files", []).append(message)
            break  # The others would only take time.
    if found or params.skip_auto_download:
        return tuple(found)
    if not local_root:
        return ()
    if not Path(local_root).is_absolute():
        message = f"'{local_root}' is not an absolute path of this machine."
        errors.setdefault("local_root", []).append(message)
        return ()
    name = params.output_folder_name or output_folder.rpartition("/")[2]
    try:
        folder = str(Path(local_root) / check_segment(name))
        real = _real_folder(folder, local_root)
    except (UnsafePathError, ValueError) as error:
        errors.setdefault("output_folder_name", []).append(str(error))
        return ()
    return (Watch(f"/{output_folder}/.+", folder, real),)


def _real_folder(folder: str, local_root: str) -> str:
    """Return where a folder for results leads now: later, no link is followed on the way to it.

    Whoever made the project may have put a link into the project's folder. Elsewhere a link is its
    user's own.

    Raises:
        ValueError: it is none, or lies in the project's folder and leads out. ``str()`` says so.
    """
    if not Path(folder).is_absolute():
        raise ValueError(f"'{folder}' is not an absolute path of this machine.")
    if "\0" in folder or "\0" in local_root:
        raise ValueError("It contains a NUL character.")
    real = os.path.realpath(folder)
    root = os.path.realpath(local_root) if local_root else ""
    if not root or Path(real).is_relative_to(root) or not _passes(folder, root, set()):
        return real
    raise ValueError(
        f"'{folder}' leads out of the project's folder, to {real}. If results are to go there, name"
        " that folder itself."
    )


def _passes(path: str, root: str, seen: set[str]) -> bool:
    """Return whether the way to a path leads through a real folder, however it is spelled.

    Parameters:
        seen: links that were followed already.
    """
    # As written: of 'link/..' the system makes the folder above that which the link leads to.
    for part in (*reversed(Path(path).parents), Path(path)):
        if Path(os.path.realpath(part)).is_relative_to(root):
            return True
        if str(part) not in seen and part.is_symlink():
            seen.add(str(part))
            if _passes(str(part.parent / part.readlink()), root, seen):
                return True
    return False
