"""How long to wait before something that failed is tried again."""

from dataclasses import dataclass

SPREAD = 0.3
"""Part of a pause by which it is longer or shorter where many wait for one."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """Pauses in seconds, doubled with each failure in a row, up to the longest."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """Return the pause after the n-th failure in a row (1, 2, ...)."""
        return min(self.longest, self.first * 2.0 ** (min(max(failures, 1), 64) - 1))

    def spread(self, failures: int, chance: float) -> float:
        """Return about the same, for one of many who wait for one thing.

        When a farm is back, they must not all come at once.

        Parameters:
            chance: a random number, at least 0 and less than 1.
        """
        return self.after(failures) * (1 - SPREAD + 2 * SPREAD * chance)
