"""Turns a request about a project into an accepted submission."""
