"""A project: a local folder, its name on the farm, its jobs, and where results go."""

from __future__ import unicode_literals

import datetime
import os
import re

from gridmarkets._compat import is_text, to_text
from gridmarkets._files import MOST_MESSAGES, FileSet, path_inside, remote_inside
from gridmarkets.errors import InvalidRequestError
from gridmarkets.job import Job
from gridmarkets.watch_file import WatchFile

RESULTS_FOLDER = "render_results"

# Characters that file and folder names cannot have on every platform.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f]')
# Windows reserves these device names in every folder and with every extension.
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\xb9\xb2\xb3]) *(\.|$)")
_MOST_BYTES = 200


class Project(object):
    """A group of jobs that work on the same files.

    Parameters:
        local_root: the project's folder on this machine.
        name: also the project's folder on the farm; by default the name of the local folder.
        submission_name: by default made of the time, so that each submission has its own.
        output_folder_name: folder of the results; by default the submission's name.
        params: parameters shared by all jobs, such as Houdini's ``project_env``.

    Attributes:
        LocalRoot, local_root (text): absolute.
        RemoteRoot, remote_root (text): ``/<name>``.
        remote_output_folder (text): ``/<name>/render_results/<output folder name>``; assignable.
        output_folder_name, remote_output_folder_name (text): the same thing; assignable.
        timestamp (datetime): local time at which this object was made.
        jobs (list of Job), watch_files (list of WatchFile), params (dict).
        gather_files (bool or None): whether Envoy also sends files that the jobs' .blend files
            use but that nobody has added, wherever on this machine they are; None leaves that
            to Envoy, which does so unless it was told otherwise.

    Raises:
        InvalidRequestError: the name cannot be the name of a folder.
    """

    def __init__(
        self, local_root, name=None, submission_name=None, output_folder_name=None, **params
    ):
        self.timestamp = datetime.datetime.now()
        self.local_root = to_text(os.path.abspath(to_text(local_root)))
        self.name = _folder_name("name", name or os.path.basename(self.local_root))
        self.remote_root = to_text("/" + self.name)
        self.submission_name = to_text(submission_name or _generated_name(self.timestamp))
        self.params = params
        self.jobs = []
        self.watch_files = []
        self.gather_files = None
        self._remote_output_folder = None
        self._output_folder_name = None
        if output_folder_name:
            self.output_folder_name = output_folder_name
        self._files = FileSet(self.local_root, self.remote_root)

    @property
    def LocalRoot(self):
        return self.local_root

    @property
    def RemoteRoot(self):
        return self.remote_root

    @property
    def output_folder_name(self):
        if self._output_folder_name is not None:
            return self._output_folder_name
        return to_text(_usable(self.submission_name))

    @output_folder_name.setter
    def output_folder_name(self, name):
        self._output_folder_name = _folder_name("output_folder_name", name)

    # Alias for older clients.
    remote_output_folder_name = output_folder_name

    @property
    def remote_output_folder(self):
        if self._remote_output_folder is not None:
            return self._remote_output_folder
        return to_text("/".join([self.remote_root, RESULTS_FOLDER, self.output_folder_name]))

    @remote_output_folder.setter
    def remote_output_folder(self, path):
        self._remote_output_folder = self._remote("remote_output_folder", path)

    @property
    def files(self):
        """Paths of all files to upload, relative to the project; read from disk now."""
        paths = []
        for group in self.file_groups():
            below = remote_inside(group["remoteRoot"], self.remote_root)
            paths.extend(below + "/" + name if below else name for name in group["files"])
        return sorted(paths)

    def add_files(self, *paths, **keywords):
        """Add files for upload, in one of three forms::

            add_files(local_folder, remote_folder, ['sample.c4d', 'another_file.ext'])
            add_files(local_folder, remote_folder)      everything in the local folder
            add_files('sample.c4d', 'another_file.ext') paths in the project folder

        Parameters:
            local_folder: may lie outside the project folder.
            remote_folder: `RemoteRoot` or a folder within it.
            files: paths relative to the local folder, or absolute.

        Paths outside the folder, and links that lead out of the project folder, are ignored.

        Raises:
            InvalidRequestError: the remote folder is not within `RemoteRoot`. Missing files are
                only found when the project is submitted.
        """
        names = ("local_folder", "remote_folder", "files")
        unknown = [name for name in keywords if name not in names]
        if unknown or (keywords and len(paths) + len(keywords) > len(names)):
            raise TypeError("add_files() takes local_folder, remote_folder and files")
        if keywords or self._is_mapping(paths):
            given = dict(zip(names, paths))  # noqa: B905
            given.update(keywords)
            if "local_folder" not in given or "remote_folder" not in given:
                raise TypeError("add_files() needs both a local and a remote folder")
            local_folder = os.path.join(self.local_root, to_text(given["local_folder"]))
            files = given.get("files")
            self._files.add(
                os.path.abspath(local_folder),
                self._remote("remote_folder", given["remote_folder"]),
                [""] if files is None else [files] if is_text(files) else files,
            )
        else:
            self._files.add(self.local_root, self.remote_root, paths)

    def add_folders(self, *folders):
        """Add everything in folders of the project, by relative or absolute path."""
        self._files.add(self.local_root, self.remote_root, folders)

    def add_jobs(self, *jobs):
        """Add jobs; one that is already there is not added twice."""
        for job in jobs:
            if not isinstance(job, Job):
                raise TypeError("add_jobs() takes Job objects, not {0!r}".format(job))
            if job not in self.jobs:
                self.jobs.append(job)

    def add_watch_files(self, *watch_files):
        """Add what to download; without any, all results go to the results folder."""
        for watch_file in watch_files:
            if not isinstance(watch_file, WatchFile):
                raise TypeError(
                    "add_watch_files() takes WatchFile objects, not {0!r}".format(watch_file)
                )
            self.watch_files.append(watch_file)

    @property
    def skipped_files(self):
        """Messages about what `files` and `file_groups` left out when they were last asked."""
        return self._files.skipped[:MOST_MESSAGES]

    def file_groups(self):
        """Return the files to upload, read from disk now.

        Returns:
            list of ``{"localRoot", "remoteRoot", "files", "named", "folders"}``, files relative
            to both roots; those in ``named`` were added one by one, not found in a folder, and
            ``folders`` were added as a whole: what they no longer hold leaves the project.

        Raises:
            InvalidRequestError: files do not exist, cannot be read, or would have the same remote
                path.
        """
        if self.watch_files:
            results = [watch_file.absolute_download_path for watch_file in self.watch_files]
        else:
            results = [os.path.join(self.local_root, self.output_folder_name)]
        return self._files.groups(results)

    def _is_mapping(self, paths):
        """Return whether positional arguments of `add_files` are folders rather than files."""
        if len(paths) == 3 and not is_text(paths[2]) and not hasattr(paths[2], "__fspath__"):
            return True
        if len(paths) != 2:
            return False
        first = os.path.join(self.local_root, to_text(paths[0]))
        second = os.path.join(self.local_root, to_text(paths[1]))
        if os.path.isfile(first) or os.path.isfile(second):
            return False
        is_remote = remote_inside(paths[1], self.remote_root) is not None
        # The project folder may well have the same name as its remote folder.
        is_local = path_inside(second, self.local_root) is not None
        return is_remote or (os.path.isdir(first) and not is_local)

    def _remote(self, field, path):
        below = remote_inside(path, self.remote_root)
        if below is None:
            message = "'{0}' is not inside '{1}'.".format(to_text(path), self.remote_root)
            raise InvalidRequestError(message, errors={field: [message]})
        return to_text(self.remote_root + "/" + below) if below else self.remote_root

    def __repr__(self):
        return str("<Project {0!r} in {1!r}>").format(self.name, self.local_root)


def _generated_name(timestamp):
    """Return a submission name that is also a good folder name; `_files` recognises it."""
    milliseconds = timestamp.microsecond // 1000
    return "submission {0:%Y-%m-%d %H-%M-%S}-{1:03d}".format(timestamp, milliseconds)


def _usable(name):
    """Return a folder name for a submission, whose own name may be anything.

    Names that are the same folder on some system ("shot" and "shot.") become the same everywhere.
    """
    name = _FORBIDDEN.sub("-", name).encode("utf-8")[:_MOST_BYTES].decode("utf-8", "ignore")
    name = name.strip(". ")
    return "results-" + name if _DEVICE.match(name) else name or "results"


def _folder_name(field, name):
    name = to_text(name)
    if not name or _FORBIDDEN.search(name) or name[-1] in ". ":
        message = "'{0}' is not a valid name of a folder on every system.".format(name)
        raise InvalidRequestError(message, errors={field: [message]})
    return name
