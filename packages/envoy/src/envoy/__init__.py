"""Envoy: the service on the artist's machine.

It reads a project's files from disk, sends them to the farm, submits the jobs, and brings the
results home by itself. `main` is the composition root; arrows point down::

    cli, main
    web                      HTTP in: the published wire, the guard
    projects                 what a request means
    upload   watch           files out, results in
    embedded account patience
    farm_client   journal    HTTP out, memory
    waiting errors config wire
"""

__version__ = "0.1.0"
