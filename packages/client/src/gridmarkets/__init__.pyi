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
