"""Render the sample project; the frames arrive by themselves in my_results."""

from __future__ import print_function

import os
import sys

from gridmarkets import APIError, AuthenticationError, InsufficientCreditsError
from gridmarkets import EnvoyClient, InvalidRequestError, Job, Project, WatchFile

EXAMPLES = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "my_results")


def main():
    client = EnvoyClient(url=os.environ.get("ENVOY_URL", "http://localhost:8090"))
    client.authenticate(
        os.environ.get("ENVOY_EMAIL", "artist@example.com"),
        os.environ.get("ENVOY_PASSWORD", "artist-password"),
    )

    # The project: its scene, and everything that the scene refers to.
    project = Project(os.path.join(EXAMPLES, "sample_project"), name="sample_project")
    project.add_files(project.LocalRoot, project.RemoteRoot, ["scene.blend"])
    for folder in ("library", "textures"):
        local_folder = os.path.join(project.LocalRoot, folder)
        project.add_files(local_folder, project.RemoteRoot + "/" + folder)

    # The job: 24 frames, up to four at a time.
    job = Job(
        name="beauty",
        app="blender",
        app_version=client.get_product_resolver().get_versions_by_type("blender")[-1],
        operation="render",
        path="sample_project/scene.blend",
        instances=4,
        machine_type="",
        frames="1 24 1",
        output_prefix="frame_",
        output_format="PNG",
        engine="CYCLES",
    )
    project.add_jobs(job)

    # The results: everything in the output folder, downloaded as it appears.
    project.add_watch_files(WatchFile("{0}/.+".format(project.remote_output_folder), RESULTS))

    name = client.submit_project(project)
    print("Submitted {0}; frames will appear in {1}".format(name, RESULTS))


if __name__ == "__main__":
    try:
        main()
    except (APIError, AuthenticationError, InsufficientCreditsError, InvalidRequestError) as error:
        sys.exit(str(error))
