"""Upload the sample project without submitting anything."""

from __future__ import print_function

import os
import time

from gridmarkets import EnvoyClient, Project

EXAMPLES = os.path.dirname(os.path.abspath(__file__))

client = EnvoyClient(url=os.environ.get("ENVOY_URL", "http://localhost:8090"))
client.authenticate(
    os.environ.get("ENVOY_EMAIL", "artist@example.com"),
    os.environ.get("ENVOY_PASSWORD", "artist-password"),
)

# Relative to the project's folder, or absolute within it.
project = Project(os.path.join(EXAMPLES, "sample_project"))
project.add_files("scene.blend")
project.add_folders("library", os.path.join(project.LocalRoot, "textures"))

name = client.upload_project_files(project)
status = client.get_project_status(name)
while status["State"] == "Uploading":
    time.sleep(0.2)
    status = client.get_project_status(name)
print("{0}: {1}".format(status["State"], status["Message"]))
for path in sorted(status["Details"]):
    print("  {0}".format(path))
