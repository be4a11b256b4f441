"""Kernel settings below ``/proc/sys``. Only on Linux."""

from collections.abc import Sequence
from pathlib import Path


def read_sysctl(name: str, default: Sequence[int]) -> Sequence[int]:
    """Return the numbers of a setting, such as ``net/ipv4/tcp_wmem``; ``default`` if unreadable."""
    try:
        return [int(each) for each in Path("/proc/sys", name).read_text().split()] or default
    except (OSError, ValueError):
        return default
