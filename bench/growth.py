"""Figures that are taken at growing sizes, each shown with its factor to the one before."""

from collections.abc import Callable

SIZES = (1_000, 10_000, 100_000)


def up_to(most: int) -> list[int]:
    """Return the sizes below ``most``, and ``most``."""
    return [*(size for size in SIZES if size < most), most]


class Growing:
    """The figures of one column of a table, from the smallest size to the largest."""

    def __init__(self, show: Callable[[float], str]) -> None:
        """Prepare; ``show`` makes a figure a text with its unit."""
        self._show = show
        self._before: float | None = None

    def __call__(self, figure: float) -> str:
        """Return the next figure as a text: ``31 ms``, then ``290 ms (x9.4)``."""
        before, self._before = self._before, figure
        shown = self._show(figure)
        return f"{shown} (x{figure / before:.2g})" if before and before > 0 else shown


def milliseconds(seconds: float) -> str:
    """Show seconds as milliseconds."""
    return f"{seconds * 1000:,.0f} ms" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"
