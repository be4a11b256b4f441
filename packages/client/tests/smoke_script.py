# -*- coding: utf-8 -*-
"""Runs under every Python of the machine; see test_pythons. Arguments: the stand-in's URL.

Prints one JSON line with what came out, so that the test can compare it.
"""

from __future__ import print_function

import json
import os
import shutil
import sys
import tempfile

from gridmarkets import *  # noqa: F403
from gridmarkets import EnvoyClient, Job, Project, WatchFile
from gridmarkets.errors import APIError, AuthenticationError, EnvoyError, InvalidRequestError

# Bytes on Python 2, as scripts write them there.
NAME = "größe ☃"


def main(url):  # type: (str) -> object
    parent = tempfile.mkdtemp()
    try:
        return run(url, os.path.join(parent, NAME))
    finally:
        shutil.rmtree(parent)


def run(url, folder):  # type: (str, str) -> object
    os.makedirs(os.path.join(folder, "assets"))
    for name in ("scene.blend", os.path.join("assets", NAME + ".png")):
        with open(os.path.join(folder, name), "w") as stream:
            stream.write("content")

    # What a strict Envoy would have made there.
    os.environ["ENVOY_DATA_DIR"] = folder
    token = os.path.join(folder, "token")
    with open(token, "w") as stream:
        stream.write("a-token-of-a-strict-envoy\n")
    os.chmod(token, 0o600)

    client = EnvoyClient(url=url)
    client.authenticate("artist@example.com", "pässword")
    project = Project(folder)
    project.add_files(project.LocalRoot, project.RemoteRoot, ["scene.blend"])
    project.add_files(os.path.join(folder, "assets"), project.RemoteRoot + "/assets")
    newest = client.get_product_resolver().get_versions_by_type("blender")[-1]
    job = Job(
        "jöb", "blender", newest, "render", NAME + "/scene.blend", frames="1 2 1", instances=5
    )
    job.set_credits_budget(value=50, action=Job.CREDITS_BUDGET_ACTION_ALERT)
    project.add_jobs(job)
    project.add_watch_files(WatchFile("{0}/.+".format(project.RemoteRoot), "results öf it"))
    report = {  # type: dict[str, object]
        "files": project.files,
        "submitted": client.submit_project(project),
        "machines": len(client.get_machines("blender", "render", plugins=["ä"])),
        "status": client.get_project_status(NAME)["Code"],
        "user": client.get_user_info()["name"],
    }

    errors = {}  # type: dict[str, object]
    report["errors"] = errors
    try:
        job.path = "ändere/scene.blend"
        client.submit_project(project)
    except InvalidRequestError as error:
        errors["local"] = sorted(error.errors)
        str(error), repr(error)
    for password in ("401", "400", "500"):
        try:
            client.authenticate("status", password)
        except EnvoyError as error:
            errors[password] = [type(error).__name__, error.http_status, error.user_message]
            str(error), repr(error)
    try:
        WatchFile("(ü", "out")
    except InvalidRequestError as error:
        errors["watch"] = list(error.errors)
        str(error), repr(error)
    try:
        EnvoyClient(url="http://localhost:1").authenticate("a", "b")
    except APIError as error:
        errors["down"] = str(error)
    try:
        EnvoyClient(url="http://local\0host").authenticate("a", "b")
    except APIError as error:
        errors["no url"] = str(error)
    assert issubclass(AuthenticationError, EnvoyError)
    return report


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1]), sort_keys=True))
