"""The version of this library, which is also the version of the published contract it speaks."""

__version__ = "7.1.10"
