"""How long a job waits after its renderer got no licence, and which of that time is free."""

from farm_protocol.backoff import BackOff

LICENCE_PAUSES = BackOff(30.0, 900.0)
"""Between attempts of a job whose renderer gets no licence."""

FREE_SECONDS_OF_A_TRY = 300.0
"""A renderer without a licence reports so within this time after its start, or after reading the
scene.
"""

FREE_SECONDS_OF_A_DAY = 7200.0
"""Limit for an account, unless the farm's settings say otherwise: a missing licence is reported by
a line of output, which a scene can print, and not everything that the scene may use can be
measured.
"""


def free_seconds(
    seconds: float,
    processor_seconds: float,
    frames_done: int,
    free_before: float,
    free_a_day: float = FREE_SECONDS_OF_A_DAY,
) -> float:
    """Return how much machine time of a claim without a licence is free.

    Free is the time that the renderer spent waiting: computing is worth its price. Whether a frame
    was started says nothing: some renderers request their licence with the first frame, and for
    some it is unknown when they start one.

    Parameters:
        seconds: since its last delivered frame.
        processor_seconds: used by its renderer; on several cores this may be more.
        frames_done: delivered frames. With any of them, it had a licence, and has rendered since.
        free_before: free seconds of its account within the last day.
        free_a_day: limit of an account's free seconds.
    """
    if frames_done:
        return 0.0
    waited = min(seconds - processor_seconds, FREE_SECONDS_OF_A_TRY)
    return max(0.0, min(waited, free_a_day - free_before))
