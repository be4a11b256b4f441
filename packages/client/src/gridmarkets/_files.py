"""Which local files a project uploads, and what they are called on the farm.

Nothing is read from disk before `FileSet.groups` is called: what a folder holds is decided when
the project is submitted. Local paths are absolute text; remote paths use forward slashes.
"""

from __future__ import unicode_literals

import logging
import os
import re

from gridmarkets._compat import is_utf8, to_text
from gridmarkets.errors import InvalidRequestError

log = logging.getLogger("gridmarkets")

# The folder that results go to when neither it nor the submission was given a name; see
# `gridmarkets.project`. Recognised here, so that yesterday's results are not uploaded today.
GENERATED_NAME = re.compile(r"submission \d{4}-\d\d-\d\d \d\d-\d\d-\d\d-\d{3}$")


def path_inside(path, folder):
    """Return ``path`` relative to ``folder`` ("" for the folder itself), or None if outside.

    Compares whole names, as the platform compares them: ``/proj2`` is not inside ``/proj``.
    Symbolic links are not followed; pass real paths to have them followed.
    """
    path = os.path.abspath(path)
    folder = os.path.abspath(folder)
    if os.path.normcase(path) == os.path.normcase(folder):
        return ""
    prefix = folder if folder.endswith(os.sep) else folder + os.sep
    if not os.path.normcase(path).startswith(os.path.normcase(prefix)):
        return None
    return path[len(prefix) :].replace(os.sep, "/")


def remote_inside(path, folder):
    """Return remote ``path`` relative to remote ``folder``, or None if outside or not canonical."""
    segments = to_text(path).replace("\\", "/").strip("/").split("/")
    parents = folder.strip("/").split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        return None
    if segments[: len(parents)] != parents:
        return None
    return "/".join(segments[len(parents) :])


class FileSet(object):
    """The files and folders that were added to one project."""

    def __init__(self, local_root, remote_root):
        self._local_root = local_root
        self._remote_root = remote_root
        # (local folder, remote folder, path below both; "" for everything in them)
        self._entries = []

    def add(self, local_folder, remote_folder, paths):
        """Add files or folders below ``local_folder``; those outside of it are ignored.

        Parameters:
            paths: relative to the local folder, or absolute; "" is the whole folder.
        """
        # A folder outside the project may be named freely, but a link in the project that leads
        # elsewhere would upload what nobody named.
        if path_inside(local_folder, self._local_root) is not None and self._leads_out(
            local_folder, self._local_root
        ):
            log.warning("%s leads out of the project folder and is ignored.", local_folder)
            return
        for path in paths:
            below = path_inside(os.path.join(local_folder, to_text(path)), local_folder)
            if below is None:
                log.warning("%s is not inside %s and is ignored.", path, local_folder)
                continue
            self._entries.append((local_folder, remote_folder, below))

    def groups(self, result_folders):
        """Return ``[{"localRoot", "remoteRoot", "files"}]``, each file once, in a fixed order.

        Parameters:
            result_folders: folders that hold downloaded results; not read when they lie inside
                a folder that was added as a whole.

        Raises:
            InvalidRequestError: files are missing or unreadable, or two of them would have the
                same remote path.
        """
        problems = []
        skip = set(os.path.normcase(os.path.realpath(folder)) for folder in result_folders)
        groups = {}
        taken = {}
        for local_folder, remote_folder, below in self._entries:
            files = groups.setdefault((local_folder, remote_folder), [])
            for name in self._expand(local_folder, below, skip, problems):
                remote = remote_folder + "/" + name
                local = os.path.abspath(os.path.join(local_folder, name))
                if not is_utf8(name):
                    problems.append("The name {0!r} is not valid Unicode text.".format(name))
                elif remote not in taken:
                    taken[remote] = local
                    files.append(name)
                elif taken[remote] != local and (
                    os.path.realpath(taken[remote]) != os.path.realpath(local)
                ):
                    problems.append(
                        "Both '{0}' and '{1}' would become '{2}'.".format(
                            taken[remote], local, remote
                        )
                    )
        if problems:
            raise InvalidRequestError("\n".join(problems), errors={"files": problems})
        return [
            {"localRoot": key[0], "remoteRoot": key[1], "files": sorted(groups[key])}
            for key in sorted(groups)
            if groups[key]
        ]

    def _expand(self, local_folder, below, skip, problems):
        """Return the files of one entry, relative to ``local_folder``."""
        path = os.path.abspath(os.path.join(local_folder, below))
        if self._leads_out(path, local_folder):
            log.warning("%s leads out of the project folder and is ignored.", path)
            return []
        if os.path.isfile(path):
            return [below]
        if not os.path.isdir(path):
            problems.append("'{0}' does not exist.".format(path))
            return []
        found = []
        self._walk(path, local_folder, skip, [os.path.realpath(path)], found, problems)
        return found

    def _walk(self, folder, base, skip, parents, found, problems):
        """Collect the regular files below ``folder``, relative to ``base``.

        Parameters:
            parents: real paths of this folder and those above it, to notice links in a circle.
        """
        try:
            # By repr: Python 2 cannot compare the names that it could not decode with the others.
            names = sorted(os.listdir(folder), key=repr)
        except (IOError, OSError) as error:
            problems.append("'{0}' cannot be read: {1}.".format(folder, error.strerror))
            return
        for name in names:
            if isinstance(name, bytes):
                # Only Python 2, and only for names that it cannot decode.
                problems.append("The name {0!r} is not valid Unicode text.".format(name))
                continue
            path = os.path.join(folder, name)
            real = os.path.join(parents[-1], name)
            if os.path.islink(path):
                real = os.path.realpath(path)
                if self._leads_out(path, base):
                    log.warning("%s leads out of the project folder and is ignored.", path)
                    continue
            if os.path.isdir(path):
                if real not in parents and not self._holds_results(path, real, skip):
                    self._walk(path, base, skip, parents + [real], found, problems)  # noqa: RUF005
            elif os.path.isfile(path):
                found.append(path_inside(path, base))

    def _holds_results(self, path, real, skip):
        if os.path.normcase(real) in skip:
            return True
        below = path_inside(path, self._local_root)
        return below is not None and GENERATED_NAME.match(below) is not None

    def _leads_out(self, path, folder):
        """Return whether following links from ``path`` ends outside both folders."""
        real = os.path.realpath(path)
        roots = (folder, self._local_root)
        return all(path_inside(real, os.path.realpath(root)) is None for root in roots)
