"""Which renderers this machine has. A leaf package: it imports nothing of ours."""

from farm.renderers.discover import Discovery
from farm.renderers.places import Places
from farm.renderers.plugins import as_plugin, chosen, environment
from farm.renderers.programs import programs, series
from farm.renderers.renderer import FoundPlugin, Renderer, RendererError, choose
from farm.renderers.versions import ALL, UNKNOWN, begins_with, in_range, version_key

__all__ = [
    "ALL",
    "UNKNOWN",
    "Discovery",
    "FoundPlugin",
    "Places",
    "Renderer",
    "RendererError",
    "as_plugin",
    "begins_with",
    "choose",
    "chosen",
    "environment",
    "in_range",
    "programs",
    "series",
    "version_key",
]
