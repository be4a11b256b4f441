"""Upload the sample project once, then render it twice with different parameters."""

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

files = Project(os.path.join(EXAMPLES, "sample_project"), name="sample_project")
files.add_files(files.LocalRoot, files.RemoteRoot)
client.upload_project_files(files)

# No need to wait: Envoy sends what belongs to one project in the order in which it was asked.
for variant, parameters in (
    ("preview", {"frames": "1", "output_format": "JPEG"}),
    ("final", {"frames": "1 2", "output_format": "PNG"}),
):
    project = Project(files.LocalRoot, name=files.name)
    project.add_jobs(
        Job(variant, "blender", "", "render", "sample_project/scene.blend", **parameters)
    )
    folder = os.path.join(RESULTS, variant)
    project.add_watch_files(WatchFile("{0}/.+".format(project.remote_output_folder), folder))
    skip_upload = True
    client.submit_project(project, skip_upload)
    print("Submitted {0}; frames will appear in {1}".format(variant, folder))
