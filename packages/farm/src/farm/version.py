"""The installed version, which comes from the release's tag."""

from importlib.metadata import version

__version__ = version("render-farm")
