"""Which results a submission downloads, and where to: each folder is resolved once, now."""

from pathlib import Path

from farm_protocol.paths import UnsafePathError, check_segment
from farm_protocol.patterns import PatternError
from farm_protocol.real_paths import real_path

from envoy.errors import Errors
from envoy.journal import Watch
from envoy.submissions.wire import SubmitBody
from envoy.watch.match import MOST_INSTRUCTIONS, MOST_WATCHES, compile_pattern


def watches_of(body: SubmitBody, output_folder: str, errors: Errors) -> tuple[Watch, ...]:
    """Return the watches of a submission: its own, or one for all of its results."""
    params = body.project_request.params
    local_root = params.local_root or next((g.local_root for g in body.project_files), "")
    found: list[Watch] = []
    if len(body.watch_files) > MOST_WATCHES:
        message = (
            f"A submission may have at most {MOST_WATCHES} watches. This one has"
            f" {len(body.watch_files)}."
        )
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
                "The patterns of the watches are too large in all. Use fewer or simpler"
                " ones, or split the jobs over several submissions."
            )
            errors.setdefault("watch_files", []).append(message)
            break  # More of them would only cost time.
    if found or params.skip_auto_download:
        return tuple(found)
    if not local_root:
        return ()
    if not Path(local_root).is_absolute():
        message = f"'{local_root}' is not an absolute path on this machine."
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
    """Return where a folder for results leads now: later, no link on the way to it is followed.

    The author of the project may have put a link into its folder. Links elsewhere are the user's
    own.

    Raises:
        ValueError: it is not a folder, or is in the project's folder and leads out. ``str()`` says
            so.
    """
    if not Path(folder).is_absolute():
        raise ValueError(f"'{folder}' is not an absolute path on this machine.")
    if "\0" in folder or "\0" in local_root:
        raise ValueError("It contains a NUL character.")
    passed: set[str] = set()
    try:
        real = real_path(folder, passed.add)
        root = real_path(local_root) if local_root else ""
    except OSError as error:
        raise ValueError(f"'{folder}' cannot be used: {error.strerror}.") from None
    if not root or Path(real).is_relative_to(root):
        return real
    # However it is spelled, even through links into the project's folder.
    if not any(Path(each).is_relative_to(root) for each in passed):
        return real
    raise ValueError(
        f"'{folder}' leads out of the project's folder, to {real}. If the results should go"
        " there, name that folder itself."
    )
