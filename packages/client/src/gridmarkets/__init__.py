"""Submit render projects through Envoy.

``from gridmarkets import EnvoyClient, Project, Job, WatchFile`` is all that a script needs; see
`EnvoyClient.submit_project`. Errors are drawn in `gridmarkets.errors`.
"""

# No unicode_literals here: on Python 2 the names in __all__ have to be byte strings.
from gridmarkets.envoy_client import EnvoyClient
from gridmarkets.errors import (
    APIError,
    ApIError,
    AuthenticationError,
    EnvoyError,
    InsufficientCreditsError,
    InvalidRequestError,
)
from gridmarkets.job import Job
from gridmarkets.product_resolver import ProductResolver
from gridmarkets.project import Project
from gridmarkets.version import __version__
from gridmarkets.watch_file import WatchFile

__all__ = [
    "APIError",
    "ApIError",
    "AuthenticationError",
    "EnvoyClient",
    "EnvoyError",
    "InsufficientCreditsError",
    "InvalidRequestError",
    "Job",
    "ProductResolver",
    "Project",
    "WatchFile",
    "__version__",
]
