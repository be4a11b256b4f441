"""Watch jobs and change their course: suspend, resume, stop, retry, wait, logs and results."""

from __future__ import print_function

import os
import sys
import time

from gridmarkets import EnvoyClient, Job, Project, WatchFile

EXAMPLES = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "my_results")

client = EnvoyClient(url=os.environ.get("ENVOY_URL", "http://localhost:8090"))
client.authenticate(
    os.environ.get("ENVOY_EMAIL", "artist@example.com"),
    os.environ.get("ENVOY_PASSWORD", "artist-password"),
)

project = Project(os.path.join(EXAMPLES, "sample_project"))
project.add_files(project.LocalRoot, project.RemoteRoot)
project.add_watch_files(WatchFile("{0}/.+".format(project.remote_output_folder), RESULTS))
scene = "sample_project/scene.blend"
first = Job("first", "blender", "", "render", scene, frames="1 4", output_prefix="first_")
second = Job("second", "blender", "", "render", scene, frames="3", output_prefix="second_")
second.add_dependencies(first)
project.add_jobs(first, second)
name = client.submit_project(project)

# The jobs are on the farm, and can be controlled, once the files are there.
while client.get_project_status(name)["State"] in ("Uploading", "Submitting"):
    time.sleep(0.1)
print("suspended: {0}".format(client.suspend_job(first)["state"]))
print("resumed: {0}".format(client.resume_job(first)["state"]))
print("stopped: {0}".format(client.stop_job(second)["state"]))
print("again: {0}".format(client.retry_job(second)["state"]))


def show(progress):
    print(
        "{state}: {frames_done} of {frames_total} frames rendered, "
        "{files_done} of {files_total} files downloaded".format(**progress)
    )


end = client.wait_for_project(name, timeout=600, on_progress=show)
print("The end: {0}".format(end["state"]))

for job in end["jobs"]:
    print("{name}: {state}, {credits:.6f} credits".format(**job))
print(client.get_job_log(first)[-200:])
for result in client.get_results(name):
    if result["submission"] == project.submission_name:
        print("{name}: {state}, {local_path}".format(**result))
