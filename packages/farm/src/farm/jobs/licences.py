"""How long a job waits after its renderer got no licence, and what of that is free."""

from farm_protocol.backoff import BackOff

LICENCE_PAUSES = BackOff(30.0, 900.0)
"""Between the tries of a job whose renderer gets no licence."""

FREE_SECONDS_OF_A_TRY = 300.0
"""Who gets no licence is told so soon after its start, or after the scene was read."""

FREE_SECONDS_OF_A_DAY = 7200.0
"""Of an account, unless the farm's settings say otherwise: that there is no licence is what a line
of output says, a scene can print it, and not everything that it may use can be measured."""


def free_seconds(
    seconds: float,
    processor_seconds: float,
    frames_done: int,
    free_before: float,
    free_a_day: float = FREE_SECONDS_OF_A_DAY,
) -> float:
    """Return how much of the machine time of a claim that got no licence costs nothing.

    It is what the renderer spent on waiting: who computes gets something for the time. Whether a
    frame was begun says nothing: some renderers want their licence with the first frame, and of
    some nobody knows when they begin one.

    Parameters:
        seconds: since its last delivered frame.
        processor_seconds: that its renderer used; on several cores that may be more.
        frames_done: that it has delivered. Whoever did had a licence, and has rendered since.
        free_before: seconds that its account had for nothing within a day.
        free_a_day: that an account may have in all.
    """
    if frames_done:
        return 0.0
    waited = min(seconds - processor_seconds, FREE_SECONDS_OF_A_TRY)
    return max(0.0, min(waited, free_a_day - free_before))
