# -*- coding: utf-8 -*-
"""Runs under every Python, against a real Envoy and farm; see test_client.

Arguments: Envoy's URL, the account, its password, the project's folder, the results folder.
Prints one JSON line with what came out, so that the test can judge it.
"""

from __future__ import print_function

import json
import sys

from gridmarkets import *  # noqa: F403
from gridmarkets import EnvoyClient, Job, Project, WatchFile
from gridmarkets.errors import APIError, AuthenticationError, InvalidRequestError

TYPE_CHECKING = False
if TYPE_CHECKING:  # Python 2.7 has no module for it.
    from collections.abc import Callable  # noqa: F401

    from gridmarkets import EnvoyError  # noqa: F401


def main(url, email, password, folder, results):  # type: (str, str, str, str, str) -> object
    client = EnvoyClient(url=url)
    client.authenticate(email, password)
    resolver = client.get_product_resolver()
    version = resolver.get_versions_by_type("blender")[-1]
    project = Project(folder)
    project.add_files(project.LocalRoot, project.RemoteRoot, ["scene.blend"])
    project.add_folders("library", "textures")
    job = Job(
        "jöb", "blender", version, "render", project.name + "/scene.blend", frames="3", instances=1
    )
    project.add_jobs(job)
    project.add_watch_files(WatchFile("{0}/.+".format(project.remote_output_folder), results))
    seen = []  # type: list[str]
    errors = {}  # type: dict[str, str]
    report = {  # type: dict[str, object]
        "valid": [client.validate_auth(), client.validate_credits()],
        "user": client.get_user_info()["email_address"],
        "types": sorted(resolver.get_all_types(False)),
        "machines": [m["is_default"] for m in client.get_machines("blender", "render")],
        "submitted": client.submit_project(project),
        "seen": seen,
        "errors": errors,
    }
    last = client.wait_for_project(project.name, on_progress=lambda p: seen.append(p["state"]))
    report["last"] = [last["state"], last["message"], last["frames_done"], last["files_done"]]
    report["status"] = client.get_project_status(project.name)["State"]
    (told,) = client.get_jobs(project.name)
    report["job"] = [told["name"], told["state"], told["operation"]]
    report["result"] = [
        [result["name"], result["state"]] for result in client.get_results(project.name)
    ]
    report["log"] = client.get_job_log(job)

    def failing(name, kind, call, *arguments):
        # type: (str, type[EnvoyError], Callable[..., object], object) -> None
        try:
            call(*arguments)
        except kind as error:
            errors[name] = error.user_message
            str(error), repr(error)

    failing("finished", APIError, client.resume_job, job)
    # An account of its own for each Python: wrong passwords in a row make strangers wait.
    guessed = "python{0}.{1}@example.com".format(*sys.version_info)
    failing("password", AuthenticationError, EnvoyClient(url=url).authenticate, guessed, "nö")
    job.path = project.name + "/verschwunden ☃.blend"
    failing("scene", InvalidRequestError, client.submit_project, project)
    job.path, job.params["frames"] = project.name + "/scene.blend", "5 ☃"
    failing("frames", InvalidRequestError, client.submit_project, project)
    return report


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
