"""Expresses frames as a few evenly spaced runs."""

from collections.abc import Iterable, Sequence


def even_runs(frames: Sequence[int]) -> Iterable[range]:
    """Split ascending frames into evenly spaced runs, as few as a scan from left to right gives."""
    begin = 0
    while begin < len(frames):
        end = begin + 1
        step = frames[end] - frames[begin] if end < len(frames) else 1
        while end < len(frames) and frames[end] - frames[end - 1] == step:
            end += 1
        if end - begin == 2 and step != 1:
            end = begin + 1  # two numbers are not a range yet
            step = 1
        yield range(frames[begin], frames[end - 1] + 1, step)
        begin = end
