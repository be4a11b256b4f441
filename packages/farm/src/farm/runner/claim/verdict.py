"""How did a claim end? Pure: from observations to the report to the farm."""

from collections.abc import Sequence
from dataclasses import replace
from signal import SIGKILL, Signals

from farm_protocol.runner import Finish, Outcome

from farm.products import Symptoms
from farm.runner.claim.session import Ended
from farm.runner.failure import Failure

_MESSAGE = 2000
"""Maximum length of a message: the protocol's limit."""
_MARKER = 500
"""Maximum length of a quoted line."""
_SHOWN = 10


def condemn(line: str, symptoms: Symptoms) -> Failure | None:
    """Return what a line of the renderer's output means; None for nothing."""
    marker = line.strip()[:_MARKER]
    if symptoms.no_licence.search(line):
        return Failure(f"The renderer could not get a licence: {marker}", False, True, marker)
    for pattern, message in symptoms.hopeless.items():
        if found := pattern.search(line):
            return Failure(message.format(**found.groupdict()), True, False, marker)
    if symptoms.failed.search(line):
        return Failure(f"The renderer reported an error: {marker}", False, False, marker)
    return None


def remark(line: str, symptoms: Symptoms) -> str | None:
    """Return a warning for the job's owner about a line of the renderer's output; None for none."""
    for pattern, message in symptoms.warnings.items():
        if found := pattern.search(line):
            return message.format(**found.groupdict())
    return None


def judge(
    ended: Ended,
    failure: Failure | None,
    left: Sequence[int],
    rendering: int | None,
    last_line: str,
    symptoms: Symptoms,
) -> Finish:
    """Return the report to the farm. Exit code 0 alone is never trusted.

    Parameters:
        failure: what the renderer or the check of a frame said; None when nothing.
        left: frames of the claim that were not delivered.
        rendering: the frame that was being rendered at the end; None between frames.
        last_line: last line of the renderer's output, a hint when it said nothing clear.
    """
    if failure is None:
        failure = _crash(ended, left, rendering, last_line)
        if failure is not None and ended.exit_code in symptoms.no_licence_codes:
            failure = replace(failure, no_licence=True)
    if failure is None:
        return Finish(outcome=Outcome.COMPLETED, exit_code=ended.status)
    return failed(failure, ended.status, rendering)


def failed(failure: Failure, exit_code: int | None, rendering: int | None = None) -> Finish:
    """Return the report about a failure; parameters as for `judge`."""
    message = failure.message
    if len(message) > _MESSAGE:
        message = message[: _MESSAGE - 3] + "..."
    return Finish(
        outcome=Outcome.NO_LICENCE if failure.no_licence else Outcome.FAILED,
        message=message,
        frame=rendering if failure.frame is None else failure.frame,
        exit_code=exit_code,
        permanent=failure.permanent,
        marker=failure.marker,
    )


def _crash(
    ended: Ended, left: Sequence[int], rendering: int | None, last_line: str
) -> Failure | None:
    where = f" while it rendered frame {rendering}" if rendering is not None else ""
    if ended.signal is not None:
        why = " It may have run out of memory." if ended.signal == SIGKILL else ""
        name = _signal_name(ended.signal)
        return Failure(f"The renderer was ended by {name}{where}.{why}", False)
    hint = f" Its last words were: {last_line[:500]}" if last_line else ""
    if ended.exit_code is None:
        return Failure(f"The renderer could not be started.{hint}", False)
    if ended.exit_code != 0:
        return Failure(f"The renderer ended with exit code {ended.exit_code}{where}.{hint}", False)
    if left:
        frames = ", ".join(map(str, left[:_SHOWN])) + (" ..." if len(left) > _SHOWN else "")
        return Failure(
            f"The renderer ended without an error but did not write frame {frames}.", False
        )
    return None


def _signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"
