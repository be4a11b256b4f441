"""Show the account: its plan, its credits and its limits."""

from __future__ import print_function

import json
import os

from gridmarkets import EnvoyClient

client = EnvoyClient(url=os.environ.get("ENVOY_URL", "http://localhost:8090"))
client.authenticate(
    os.environ.get("ENVOY_EMAIL", "artist@example.com"),
    os.environ.get("ENVOY_PASSWORD", "artist-password"),
)

user_info = client.get_user_info()
print(json.dumps(user_info, indent=4, sort_keys=True))
print("{0:.2f} credits left".format(user_info["credits_available"]))
