"""Sign in with a password or an access key, or go on as the user who is signed in to Envoy."""

from __future__ import print_function

import os

from gridmarkets import EnvoyClient

URL = os.environ.get("ENVOY_URL", "http://localhost:8090")
EMAIL = os.environ.get("ENVOY_EMAIL", "artist@example.com")
PASSWORD = os.environ.get("ENVOY_PASSWORD", "artist-password")

# Ask Envoy now.
client = EnvoyClient(url=URL)
client.authenticate(EMAIL, PASSWORD)
print("Signed in as {0}".format(client.email))

# Or give the credentials at once: the first call that needs an account checks them.
client = EnvoyClient(email=EMAIL, access_key=PASSWORD, url=URL)
print("Credentials accepted: {0}".format(client.validate_auth()))

# Or give none: Envoy remembers who signed in last, even when it restarts.
client = EnvoyClient(url=URL)
print("Envoy acts for {0}".format(client.get_user_info()["email_address"]))
