"""Submit the sample project and follow its upload and submission."""

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
project.add_jobs(Job("one", "blender", "", "render", "sample_project/scene.blend", frames="1"))
project_name = client.submit_project(project)

while True:
    status = client.get_project_status(project_name)
    print("{State}, {BytesDone} of {BytesTotal} bytes: {Message}".format(**status))
    if status["State"] not in ("Uploading", "Submitting"):
        break
    time.sleep(0.5)
for path, file in sorted(status["Details"].items()):
    print("  {0}: {1}".format(path, file["State"]))
