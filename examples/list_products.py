"""Ask the product resolver every kind of question."""

from __future__ import print_function

import json
import os

from gridmarkets import EnvoyClient

client = EnvoyClient(url=os.environ.get("ENVOY_URL", "http://localhost:8090"))
client.authenticate(
    os.environ.get("ENVOY_EMAIL", "artist@example.com"),
    os.environ.get("ENVOY_PASSWORD", "artist-password"),
)


def show(what, answer):
    print("{0}: {1}".format(what, json.dumps(answer, indent=4, sort_keys=True)))


resolver = client.get_product_resolver()
show("products and plug-ins", resolver.get_all_types())
show("products", resolver.get_all_types(False))

versions = resolver.get_versions_by_type("blender")
newest = versions[-1]
series = "blender:" + newest.split(".")[0]
show("versions of Blender", versions)
show("versions of the newest series", resolver.get_versions_by_type(series))
show("versions of a plug-in", resolver.get_versions_by_type("blender_vray"))

# A list or a tuple; each query is a type, a type with a version, or with the start of one.
exact = "blender:" + newest
show("plug-ins for one version", resolver.get_compatible_combinations((exact,)))
show("plug-ins for both", resolver.get_compatible_combinations([exact, "blender"]))
show("products that take a plug-in", resolver.get_compatible_combinations(["blender_vray"]))
itself = resolver.get_compatible_combinations([series], include_query_types=True)
show("plug-ins, and what was asked for", itself)
