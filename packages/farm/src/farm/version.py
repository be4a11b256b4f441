"""The version of what is installed. It comes from the release's tag."""

from importlib.metadata import version

__version__ = version("render-farm")
