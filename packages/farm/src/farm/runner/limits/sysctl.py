"""Settings of the kernel, below ``/proc/sys``: only Linux."""

from collections.abc import Sequence
from pathlib import Path


def numbers(name: str, usual: Sequence[int]) -> Sequence[int]:
    """Return the numbers of a setting, such as ``net/ipv4/tcp_wmem``; else the ``usual`` ones."""
    try:
        return [int(each) for each in Path("/proc/sys", name).read_text().split()] or usual
    except (OSError, ValueError):
        return usual
