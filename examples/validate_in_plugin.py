"""What a plug-in asks before it lets its user press Submit."""

from __future__ import print_function

import os

from gridmarkets import AuthenticationError, EnvoyClient, EnvoyError, InsufficientCreditsError


def obstacle(client):
    """Return what keeps the user from submitting, as a message; "" when nothing does."""
    try:
        client.validate_auth()
        client.validate_credits()
    except AuthenticationError as error:
        return "Please sign in. {0}".format(error)
    except InsufficientCreditsError as error:
        return "Please add credits. {0}".format(error)
    except EnvoyError as error:
        return str(error)
    return ""


client = EnvoyClient(
    email=os.environ.get("ENVOY_EMAIL", "artist@example.com"),
    access_key=os.environ.get("ENVOY_PASSWORD", "artist-password"),
    url=os.environ.get("ENVOY_URL", "http://localhost:8090"),
)
print(obstacle(client) or "Ready to submit.")
