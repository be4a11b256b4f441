"""How much of what a machine uses, and no process accounts for, is put down to one renderer.

Pure: it is given numbers. No list of kernel objects is ever complete: for some of them nobody is
charged, and nothing tells whose they are. But who makes them spends system time on it. So whatever
the machine has more of is attributed by the share of the system time in which it grew.

It is an estimate. Another program that grows in the same interval is counted in part. To keep that
small, a renderer with a small share is given nothing, and nobody is given more than the machine has
gained since the renderer started.
"""

from dataclasses import dataclass, field

LEAST_SHARE = 1 / 4
"""Below this share of the system time, growth is not attributed: others are more likely. Not half:
two renderers could then take turns, with just under half each."""


@dataclass
class Attribution:
    """Attributes growth of one amount to a renderer, from look to look.

    Attributes:
        machine: the whole machine's amount at the last look; at first, before the renderer started.
    """

    machine: int
    _least: int = field(init=False)
    _ours: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Remember the amount before the renderer."""
        self._least = self.machine

    def update(self, machine: int, share: float) -> int:
        """Return the amount that is now attributed to the renderer, 0 or more.

        Parameters:
            machine: the whole machine's amount now.
            share: the renderer's share of the machine's system time since the last look, 0 to 1.
        """
        grown = machine - self.machine
        # What is released is shared in any case: a renderer is believed to release its own.
        if grown < 0 or share >= LEAST_SHARE:
            self._ours += grown * share
        self.machine, self._least = machine, min(self._least, machine)
        self._ours = max(0.0, min(self._ours, machine - self._least))
        return int(self._ours)


@dataclass
class Share:
    """The renderer's share of the machine's system time, from look to look.

    Attributes:
        machine: system time of the machine up to the last look, in seconds.
        ours: the renderer's.
    """

    machine: float
    ours: float = 0.0

    def update(self, machine: float, ours: float) -> float:
        """Return the share since the last look, 0 to 1."""
        of_all, of_us = machine - self.machine, ours - self.ours
        self.machine, self.ours = machine, ours
        return max(0.0, min(1.0, of_us / of_all)) if of_all > 0 else 0.0
