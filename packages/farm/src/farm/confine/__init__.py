"""A command line that confines the one after it. It imports only the protocol of ours.

Scenes, pictures and films are untrusted, and may exploit the programs that read them. So such a
program runs in a sandbox where there is one (`bubblewrap`), and never as root (`account`): a farm
that runs as root gives it an unprivileged account.

    with borrowed() as account:
        if not (reason := probe()):
            line = [*prefix(View(readable=(file,)), account), "ffprobe", str(file)]

It may be undecided whether there is a sandbox (`trials`): then nothing is started without one.
"""

from farm.confine.account import Account, AccountError, borrowed, drop, is_root, stop_all
from farm.confine.bubblewrap import (
    SYSTEM,
    View,
    ends_all,
    groups_of,
    opened,
    prefix,
    probe,
)
from farm.confine.layers import Layer
from farm.confine.trials import UndecidedError, trial

__all__ = [
    "SYSTEM",
    "Account",
    "AccountError",
    "Layer",
    "UndecidedError",
    "View",
    "borrowed",
    "drop",
    "ends_all",
    "groups_of",
    "is_root",
    "opened",
    "prefix",
    "probe",
    "stop_all",
    "trial",
]
