"""What a completed job says about frames that look wrong."""

from collections.abc import Sequence

MOST_SENTENCES = 3
"""So many flags are told in full; the others only count."""


def completed(total: int, flagged: int, sentences: Sequence[str]) -> str:
    """Return the sentence of a job whose frames are all done; "" when all of them look right.

    Parameters:
        total: frames of the job.
        flagged: how many of them have a flag.
        sentences: of the first flags.
    """
    if not flagged:
        return ""
    told = " ".join(sentences[:MOST_SENTENCES])
    look = "1 looks" if flagged == 1 else f"{flagged} look"
    return f"{total} of {total} frames; {look} wrong. {told}".rstrip()
