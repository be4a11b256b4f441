"""How long to wait before retrying something that failed."""

from dataclasses import dataclass

SPREAD = 0.3
"""Fraction by which a pause is longer or shorter where many clients wait for the same thing."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """Pauses in seconds, doubled with each consecutive failure, up to the longest."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """Return the pause after the n-th consecutive failure (1, 2, ...)."""
        return min(self.longest, self.first * 2.0 ** (min(max(failures, 1), 64) - 1))

    def spread(self, failures: int, chance: float) -> float:
        """Return about the same pause, for one of many that wait for the same thing.

        When a farm is back, they must not all call at once.

        Parameters:
            chance: a random number, at least 0 and less than 1.
        """
        return self.after(failures) * (1 - SPREAD + 2 * SPREAD * chance)
