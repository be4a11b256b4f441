"""Show the version of the client library. Needs no running Envoy."""

from __future__ import print_function

import gridmarkets

version = gridmarkets.EnvoyClient().version
print("gridmarkets {0} in {1}".format(version, gridmarkets.__file__))
