"""Finds files that scenes name and nobody has added, so that they are sent as well."""
