"""Which renderers this machine has: the products' programs, found and queried."""

from farm.renderers.discover import Discovery
from farm.renderers.places import Places
from farm.renderers.plugins import as_plugin, chosen, environment
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
    "version_key",
]
