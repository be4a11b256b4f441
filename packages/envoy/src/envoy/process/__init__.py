"""Envoy as a process: where it listens, its threads, its end."""
