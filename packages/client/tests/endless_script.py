"""Run by test_heads.py under every Python: asks what never gets to its answer."""

from __future__ import print_function, unicode_literals

import sys

from gridmarkets import EnvoyClient
from gridmarkets.errors import APIError

try:
    EnvoyClient(url=sys.argv[1]).authenticate("artist@example.com", "secret")
except APIError as error:
    print(error.user_message)
