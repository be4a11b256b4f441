"""A command line that confines the one behind it. Of ours it imports the protocol only.

Scenes, pictures and films come from other people, and the programs that read them may be made to do
what those people want. So such a program runs in a sandbox where there is one (`bubblewrap`), and
never as root (`account`): a farm that runs as root gives it an account without rights.

    with borrowed() as account:
        if not (reason := probe()):
            line = [*prefix(View(readable=(file,)), account), "ffprobe", str(file)]

Whether there is a sandbox may be undecided (`trials`): then nothing is started without one.
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
