"""Retries: the one policy for background calls to the farm.

A call is repeated, with growing pauses, while the farm does not answer, is in trouble (5xx, 507,
429) or does not know us (401: until somebody signs in). All other errors are left to the caller.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from farm_protocol.errors import ErrorCode

from envoy.errors import FarmAnswerError, FarmUnreachableError, NotSignedInError, OtherAccountError
from envoy.farm.client import FarmClient
from envoy.process.status_messages import StatusMessage, reason_of
from envoy.process.waiting import WaitingRoom, farm_pause_seconds

T = TypeVar("T")


class Patience:
    """Repeats calls on behalf of one account, and tells the waiting room why.

    Parameters:
        who: key in the waiting room, one for each independent activity.
        account: e-mail address on whose behalf the calls are made.
        waits_for_account: when somebody else signs in, wait for the account to come back; else
            raise `OtherAccountError`, for work that would hold up theirs.
        most_failures: consecutive ones, after which the last is raised, so that the caller can do
            other work first. None: never.
    """

    def __init__(
        self,
        farm: FarmClient,
        waiting: WaitingRoom,
        who: str,
        account: str,
        *,
        waits_for_account: bool = True,
        most_failures: int | None = None,
    ) -> None:
        self._farm = farm
        self._waiting = waiting
        self._who = who
        self._account = account
        self._waits_for_account = waits_for_account
        self._most_failures = most_failures

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what ``call`` returns, however long that takes.

        Raises:
            OtherAccountError: see ``waits_for_account``.
            FarmAnswerError: the farm refused, and retrying would not help.
            FarmUnreachableError, FarmAnswerError with ``may_pass``: see ``most_failures``.
        """
        failures = 0
        try:
            while True:
                pause: float | None = None
                sign_ins = self._farm.sign_ins
                try:
                    self._check_account()
                    return await call()
                except NotSignedInError as error:
                    if isinstance(error, OtherAccountError) and not self._waits_for_account:
                        raise
                    status = StatusMessage(str(error), reason_of(error))
                except FarmAnswerError as error:
                    if error.status == 401:
                        if self._farm.sign_ins != sign_ins:
                            continue  # It was about the previous key, which a login has replaced.
                        status = StatusMessage(sign_in_again(error), reason_of(error))
                    elif error.may_pass and error.body.code != ErrorCode.HASH_MISMATCH:
                        failures += 1
                        if failures == self._most_failures:
                            raise
                        pause = farm_pause_seconds(failures)
                        status = StatusMessage(f"{error} Trying again.", reason_of(error))
                    else:
                        raise
                except FarmUnreachableError as error:
                    failures += 1
                    if failures == self._most_failures:
                        raise
                    pause = farm_pause_seconds(failures)
                    status = StatusMessage(f"{error} Trying again.", reason_of(error))
                self._waiting.tell(self._who, status)
                await self._waiting.pause(pause)
        finally:
            self._waiting.clear(self._who)

    def _check_account(self) -> None:
        if self._farm.account != self._account:
            raise OtherAccountError(f"Sign in as {self._account} to continue its uploads.")


def sign_in_again(error: FarmAnswerError) -> str:
    """Return the message for a 401 of a call that was made with an access key."""
    return f"Sign in again: {error}"
