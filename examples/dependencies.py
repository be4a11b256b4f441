"""Submit three jobs, the third of which starts when the other two are completed."""

from __future__ import print_function

import os
import sys

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
job1 = Job("first", "blender", "", "render", scene, frames="1", output_prefix="first_")
job2 = Job("second", "blender", "", "render", scene, frames="2", output_prefix="second_")
job3 = Job("third", "blender", "", "render", scene, frames="3", output_prefix="third_")
job3.add_dependencies(job1, job2)
# Every job has to be in the project, those that others wait for as well.
project.add_jobs(job1, job2, job3)

client.submit_project(project)
for job in project.jobs:
    print("{0} waits for: {1}".format(job.name, ", ".join(j.name for j in job.dependencies)))
