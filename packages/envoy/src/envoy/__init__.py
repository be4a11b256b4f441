"""Envoy: the service on the artist's machine.

It reads a project's files from disk, sends them to the farm, submits the jobs, and brings the
results home by itself. Read `main.py` first: it is the only file that names concrete parts.
ARCHITECTURE.md says which room may import which, and a check enforces it.
"""
