"""The body of a submission: a project and its jobs in the words of Envoy's web service.

Every mistake that can be detected locally is found here, all of them at once.
"""

from __future__ import unicode_literals

import json

from gridmarkets import _patterns
from gridmarkets._compat import is_text, to_text
from gridmarkets._files import remote_inside
from gridmarkets.errors import InvalidRequestError


def submission(project, skip_upload, skip_auto_download):
    """Return the body of ``POST /project-submit``.

    Raises:
        InvalidRequestError: ``errors`` has everything that is wrong, jobs by their position:
            ``jobs[0].path``.
    """
    problems = {}
    if not project.jobs:
        problems["jobs"] = ["The project has no jobs. Add one with add_jobs()."]
    jobs = []
    for index, job in enumerate(project.jobs):
        found = {}
        jobs.append(_job(job, project, found))
        for field, messages in found.items():
            problems["jobs[{0}].{1}".format(index, field)] = messages
    params = _plain(project.params, problems)
    params["project_name"] = project.name
    params["submission_name"] = to_text(project.submission_name)
    params["output_folder_name"] = project.output_folder_name
    params["remote_output_folder"] = project.remote_output_folder
    params["local_root"] = project.local_root
    params["skip_auto_download"] = bool(skip_auto_download)
    # The patterns are left out as well: an older Envoy knows no skip_auto_download.
    watch_files = {} if skip_auto_download else _watch_files(project, problems)
    groups = []
    if not skip_upload:
        try:
            groups = project.file_groups()
        except InvalidRequestError as error:
            problems.update(error.errors)
    if problems:
        raise InvalidRequestError(errors=problems)
    body = {
        "project_request": {
            "name": "{0} {1}".format(project.name, project.timestamp.isoformat(str(" "))[:19]),
            "params": params,
            "jobs": jobs,
        },
        "project_files": groups,
        "watch_files": watch_files,
    }
    if project.gather_files is not None:
        body["gather_files"] = bool(project.gather_files)
    if skip_upload:
        body["skip_upload"] = True
    elif project.skipped_files:
        body["skipped_files"] = project.skipped_files
    return body


def _job(job, project, problems):
    fields = {"id": job.id, "dependencies": [needed.id for needed in job.dependencies]}
    for field in ("name", "app", "app_version", "operation", "path"):
        value = getattr(job, field)
        fields[field] = to_text(value) if is_text(value) else ""
        if not is_text(value):
            _add(problems, field, "The {0} must be text, not {1!r}.".format(field, value))
        elif not fields[field].strip() and field != "app_version":
            _add(problems, field, "The {0} is missing.".format(field))
    if fields["path"]:
        # Scripts on Windows join paths with backslashes; the farm never does.
        fields["path"] = fields["path"].replace("\\", "/")
        if not remote_inside(fields["path"], project.remote_root):
            message = "'{0}' is not in the project. The path must start with '{1}/'."
            _add(problems, "path", message.format(fields["path"], project.name))
    fields["params"] = _plain(job.params, problems)
    # What older clients call the results folder.
    fields["params"].setdefault("output_dir_name", project.output_folder_name)
    if job.credits_budget is not None:
        fields["params"]["credits_budget"] = dict(job.credits_budget)
    for needed in job.dependencies:
        if needed not in project.jobs:
            message = "'{0}' is not a job of this project. Add it with add_jobs()."
            _add(problems, "dependencies", message.format(to_text(needed.name)))
    return fields


def _watch_files(project, problems):
    wire = {}
    for watch_file in project.watch_files:
        pattern = watch_file.pattern_for(project.remote_output_folder)
        construct = _patterns.construct_in(pattern)
        if construct is not None:
            _add(problems, "watch_files.pattern", _patterns.message_about(construct))
        folder = watch_file.absolute_download_path
        if wire.setdefault(pattern, folder) != folder:
            message = "'{0}' cannot be downloaded to two folders."
            _add(problems, "watch_files", message.format(watch_file.pattern))
    return wire


def _plain(params, problems):
    """Return parameters as JSON values, without those that are None."""
    plain = {}
    for name, value in params.items():
        if value is None:
            continue
        try:
            # Encoded and decoded: paths become text, and values that cannot be sent are found by
            # name.
            plain[to_text(name)] = json.loads(json.dumps(value, default=to_text, allow_nan=False))
        except (TypeError, ValueError) as error:
            _add(problems, name, "The value cannot be sent: {0}.".format(error))
    return plain


def _add(problems, field, message):
    problems.setdefault(to_text(field), []).append(message)
