"""Render the sample project and make a film of the frames; both arrive in my_results."""

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

    project = Project(os.path.join(EXAMPLES, "sample_project"), name="sample_project")
    project.add_files(project.LocalRoot, project.RemoteRoot)

    # The frames.
    render_job = Job(
        name="beauty",
        app="blender",
        app_version="",
        operation="render",
        path="sample_project/scene.blend",
        instances=4,
        machine_type="",
        frames="1 24",
        output_prefix="frame_",
        output_format="PNG",
        engine="CYCLES",
    )

    # The film: made of the frames, as soon as all of them are there.
    transcode_job = Job(
        name="film",
        app="ffmpeg",
        app_version="",
        operation="transcode",
        path="{0}/frame_####.png".format(project.remote_output_folder),
        frame_rate="24",
        codec="H264",
        output_prefix="film",
    )
    transcode_job.add_dependencies(render_job)
    project.add_jobs(render_job, transcode_job)

    # The film goes into the results, the frames into a folder beside it.
    for pattern, folder in ((".+[.]mp4", RESULTS), (".+[.]png", os.path.join(RESULTS, "frames"))):
        remote_pattern = "{0}/{1}".format(project.remote_output_folder, pattern)
        project.add_watch_files(WatchFile(remote_pattern, folder))

    name = client.submit_project(project)
    print("Submitted {0}; the film will be {1}".format(name, os.path.join(RESULTS, "film.mp4")))


if __name__ == "__main__":
    try:
        main()
    except (APIError, AuthenticationError, InsufficientCreditsError, InvalidRequestError) as error:
        sys.exit(str(error))
