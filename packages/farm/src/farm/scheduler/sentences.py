"""How the sentences of jobs at work begin that hold for a while, so that they are taken back."""

NO_RUNNER = "Waits: "
"""None could be started."""

ELSEWHERE = "Waits for another machine: "
NO_LICENCE = "Waits for a licence. "
NO_MORE_LICENCES = "Waits for another licence. "
"""Others of the job's runners have one."""

WAITS = (NO_RUNNER, ELSEWHERE, NO_LICENCE, NO_MORE_LICENCES)
AGAIN = "Trying again: "
