"""Which local files a project uploads, and their names on the farm.

Nothing is read from disk before `FileSet.groups` is called: what a folder holds is decided when
the project is submitted. Local paths are absolute text; remote paths use forward slashes.
"""

from __future__ import unicode_literals

import logging
import os
import re

from gridmarkets._compat import is_utf8, list_folder, to_text
from gridmarkets.errors import InvalidRequestError

log = logging.getLogger("gridmarkets")

# The folder that results go to when neither it nor the submission was given a name; see
# `gridmarkets.project`. Recognised here, so that earlier results are not uploaded.
GENERATED_NAME = re.compile(r"submission \d{4}-\d\d-\d\d \d\d-\d\d-\d\d-\d{3}$")


# Links between a few folders can form any number of paths.
MOST_LINKED_FOLDERS = 10000
MOST_MESSAGES = 200


def _message(text, *paths):
    return text.format(*[to_text(path) for path in paths])


def path_inside(path, folder, rules=os.path):
    """Return ``path`` relative to ``folder`` ("" for the folder itself), or None if outside.

    Compares whole names, as the platform compares them: ``/proj2`` is not inside ``/proj``.
    Symbolic links are not followed; pass real paths to have them followed.

    Parameters:
        rules: the platform's path module: `posixpath` or `ntpath`.
    """
    path = rules.abspath(path)
    folder = rules.abspath(folder)
    if rules.normcase(path) == rules.normcase(folder):
        return ""
    prefix = folder if folder.endswith(rules.sep) else folder + rules.sep
    if not rules.normcase(path).startswith(rules.normcase(prefix)):
        return None
    return path[len(prefix) :].replace(rules.sep, "/")


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
        # Messages about what was left out when `groups` was last called, and by `add`.
        self._ignored = []
        self.skipped = []

    def add(self, local_folder, remote_folder, paths):
        """Add files or folders below ``local_folder``; those outside of it are ignored.

        Parameters:
            paths: relative to the local folder, or absolute; "" is the whole folder.
        """
        # A folder outside the project may be named freely, but a link in the project that leads
        # elsewhere would upload files that nobody named.
        if path_inside(local_folder, self._local_root) is not None and self._leads_out(
            local_folder, self._local_root
        ):
            self._ignore("{0} points outside the project folder and is ignored.", local_folder)
            return
        for path in paths:
            below = path_inside(os.path.join(local_folder, to_text(path)), local_folder)
            if below is None:
                self._ignore("{0} is not inside {1} and is ignored.", path, local_folder)
                continue
            self._entries.append((local_folder, remote_folder, below))

    def _ignore(self, message, *paths):
        self._ignored.append(_message(message, *paths))
        log.warning("%s", self._ignored[-1])

    def _skip(self, message, *paths):
        self.skipped.append(_message(message, *paths))
        log.warning("%s", self.skipped[-1])

    def groups(self, result_folders):
        """Return ``[{"localRoot", "remoteRoot", "files", "named", "folders"}]``, sorted.

        Each file appears once. ``named`` has those of ``files`` that were added individually, not
        found in a folder; ``folders`` those that were added as a whole ("" for ``localRoot``).

        Parameters:
            result_folders: folders that hold downloaded results; not read when they lie inside
                a folder that was added as a whole.

        Raises:
            InvalidRequestError: files are missing or unreadable, or two of them would have the
                same remote path.
        """
        problems = []
        self.skipped = list(self._ignored)
        self._linked = 0
        skip = set(os.path.normcase(os.path.realpath(folder)) for folder in result_folders)
        groups = {}
        taken = {}
        for local_folder, remote_folder, below in self._entries:
            files, named, folders = groups.setdefault(
                (local_folder, remote_folder), ([], set(), set())
            )
            for name in self._expand(local_folder, below, skip, folders, problems):
                if name == below:
                    named.add(name)
                remote = remote_folder + "/" + name
                if not is_utf8(name):
                    problems.append("The name {0!r} is not valid Unicode text.".format(name))
                elif remote not in taken:
                    taken[remote] = (local_folder, name)
                    files.append(name)
                elif taken[remote] != (local_folder, name):
                    local, other = os.path.join(local_folder, name), os.path.join(*taken[remote])
                    if os.path.realpath(local) != os.path.realpath(other):
                        problems.append(
                            "Both '{0}' and '{1}' would become '{2}'.".format(other, local, remote)
                        )
        if problems:
            raise InvalidRequestError("\n".join(problems), errors={"files": problems})
        return [
            {
                "localRoot": key[0],
                "remoteRoot": key[1],
                "files": sorted(groups[key][0]),
                "named": sorted(groups[key][1].intersection(groups[key][0])),
                "folders": sorted(groups[key][2]),
            }
            for key in sorted(groups)
            if groups[key][0] or groups[key][2]
        ]

    def _expand(self, local_folder, below, skip, folders, problems):
        """Return the files of one entry, relative to ``local_folder``; note it if it is a folder.

        Parameters:
            folders: the set of these.
        """
        path = os.path.abspath(os.path.join(local_folder, below))
        if self._leads_out(path, local_folder):
            self._skip("{0} points outside the project folder and is ignored.", path)
            return []
        if os.path.isfile(path):
            return [below]
        if not os.path.isdir(path):
            problems.append("'{0}' does not exist.".format(path))
            return []
        folders.add(below)
        found = []
        start = below + "/" if below else ""
        self._walk(path, start, local_folder, skip, [os.path.realpath(path)], found, problems)
        return found

    def _walk(self, folder, start, base, skip, parents, found, problems):
        """Collect the regular files below ``folder``, relative to ``base``.

        Parameters:
            start: prefix of the relative paths of everything in ``folder``.
            parents: real paths of this folder and those above it, to detect circular links.
        """
        try:
            entries = list_folder(folder)
        except (IOError, OSError) as error:
            problems.append("'{0}' cannot be read: {1}.".format(folder, error.strerror))
            return
        # By repr: Python 2 cannot compare names that it could not decode with others.
        for name, is_link, is_folder, is_file in sorted(entries, key=repr):
            if isinstance(name, bytes):
                # Only Python 2, and only for names that it cannot decode.
                problems.append("The name {0!r} is not valid Unicode text.".format(name))
                continue
            if is_link and self._leads_out(os.path.join(folder, name), base):
                self._skip(
                    "{0} points outside the project folder and is ignored.",
                    os.path.join(folder, name),
                )
                continue
            if is_file:
                found.append(start + name)
            elif is_folder:
                path = os.path.join(folder, name)
                real = os.path.realpath(path) if is_link else os.path.join(parents[-1], name)
                if is_link:
                    self._linked += 1
                if real in parents:
                    self._skip("{0} points back to a folder above it and is ignored.", path)
                elif self._linked > MOST_LINKED_FOLDERS:
                    self._skip("{0} is ignored: too many folders are reached through links.", path)
                elif not self._holds_results(path, real, skip):
                    inner = start + name + "/"
                    self._walk(path, inner, base, skip, parents + [real], found, problems)  # noqa: RUF005
            elif is_link:
                self._skip("{0} points to nothing and is ignored.", os.path.join(folder, name))
            else:
                self._skip("{0} is not a regular file and is ignored.", os.path.join(folder, name))

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
