"""Give three jobs a limit of credits, each with another consequence."""

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
careful = Job("careful", "blender", "", "render", scene, frames="1", output_prefix="careful_")
careful.set_credits_budget(value=50.00, action=Job.CREDITS_BUDGET_ACTION_STOP)

patient = Job("patient", "blender", "", "render", scene, frames="2", output_prefix="patient_")
patient.set_credits_budget(value=50.00, action=Job.CREDITS_BUDGET_ACTION_SUSPEND)

curious = Job("curious", "blender", "", "render", scene, frames="3", output_prefix="curious_")
curious.set_credits_budget(value=50.00, action=Job.CREDITS_BUDGET_ACTION_ALERT)

project.add_jobs(careful, patient, curious)
name = client.submit_project(project)

for job in client.wait_for_project(name, timeout=600)["jobs"]:
    print("{0}: {1}, {2:.6f} of 50 credits".format(job["name"], job["state"], job["credits"]))
