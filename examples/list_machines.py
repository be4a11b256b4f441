"""List the machine types that a job can run on."""

from __future__ import print_function

import os

from gridmarkets import EnvoyClient

client = EnvoyClient(url=os.environ.get("ENVOY_URL", "http://localhost:8090"))
client.authenticate(
    os.environ.get("ENVOY_EMAIL", "artist@example.com"),
    os.environ.get("ENVOY_PASSWORD", "artist-password"),
)

machines = {
    "CPU": client.get_machines("blender", "render", category=EnvoyClient.MACHINE_CATEGORY_CPU),
    "GPU": client.get_machines("blender", "render", category=EnvoyClient.MACHINE_CATEGORY_GPU),
    "all": client.get_machines("blender", "render"),
}
for category in sorted(machines):
    print("{0}: {1}".format(category, ", ".join(each["id"] for each in machines[category])))

# With plug-ins that the job uses: the category is a keyword, so the list must be one, too.
with_plugin = client.get_machines(
    "blender", "render", category=EnvoyClient.MACHINE_CATEGORY_ALL, plugins=["blender_vray"]
)
print("with V-Ray: {0}".format(", ".join(each["id"] for each in with_plugin)))

default = next(each for each in machines["all"] if each["is_default"])
print("default: {0} (GPU: {1})".format(default["name"], default["gpu"]))
