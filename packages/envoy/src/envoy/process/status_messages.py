"""Status messages of Envoy's own work: a text for people, and the reason behind it for programs.

Nothing depends on the words of a message. Messages of jobs come from the farm: see `JobReason`.
"""

from dataclasses import dataclass
from enum import StrEnum

from farm_protocol.errors import ErrorCode
from farm_protocol.paths import UnsafePathError

from envoy.errors import (
    CorruptDownloadError,
    FarmAnswerError,
    FarmUnreachableError,
    LocalFileError,
    NotSignedInError,
    OtherAccountError,
    StartError,
)


class Reason(StrEnum):
    """The reason of a message, for programs: the words of a message may change.

    Reasons why uploads, submissions and downloads wait:

    - FARM_STARTING: the embedded farm is being started.
    - FARM_UNREACHABLE: the farm does not answer.
    - FARM_TROUBLE: the farm answers with another temporary error.
    - PROJECT_CHANGED: another Envoy changes files of the same project.
    - STORAGE, DISK: the account's quota, or the farm's disk, is full.
    - SIGN_IN, OTHER_ACCOUNT: nobody is signed in, or another account is.
    - OTHER_FARM: they belong to another farm.
    - JOURNAL: Envoy cannot read or write its journal.
    - DISK_FULL, DISK_SILENT, FOLDER: the disk of a results folder is full, or does not answer; or
      the folder is not writable.
    - FOLDER_EXCHANGED: the results folder was replaced by a link.
    - DOWNLOADS: the last results are being downloaded.
    - JOBS: the messages of the jobs, which have reasons of their own.

    Reasons why they failed:

    - REFUSED: the farm refused the request.
    - LOCAL_FILE: a file to upload was removed or changed, or cannot be read.
    - STOPPED: stopped by the user.
    - DAMAGED: the entry in Envoy's journal is damaged.
    - GONE: the farm no longer has the result.
    - CORRUPT: the downloaded bytes are not those that the farm announced.
    - UNSAFE_PATH: the path of the result is not allowed on this machine.
    - UNEXPECTED: a bug in Envoy; see its log.
    """

    NONE = ""
    FARM_STARTING = "farm_starting"
    FARM_UNREACHABLE = "farm_unreachable"
    FARM_TROUBLE = "farm_trouble"
    PROJECT_CHANGED = "project_changed"
    STORAGE = "storage"
    DISK = "disk"
    SIGN_IN = "sign_in"
    OTHER_ACCOUNT = "other_account"
    OTHER_FARM = "other_farm"
    JOURNAL = "journal"
    DISK_FULL = "disk_full"
    DISK_SILENT = "disk_silent"
    FOLDER = "folder"
    FOLDER_EXCHANGED = "folder_exchanged"
    DOWNLOADS = "downloads"
    JOBS = "jobs"
    REFUSED = "refused"
    LOCAL_FILE = "local_file"
    STOPPED = "stopped"
    DAMAGED = "damaged"
    GONE = "gone"
    CORRUPT = "corrupt"
    UNSAFE_PATH = "unsafe_path"
    UNEXPECTED = "unexpected"

    @classmethod
    def _missing_(cls, value: object) -> "Reason":
        """Return NONE for a reason that only a newer Envoy knows; the message still explains it."""
        return cls.NONE


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """A message and its reason."""

    message: str = ""
    reason: Reason = Reason.NONE


NO_MESSAGE = StatusMessage()

_FULL: dict[str, Reason] = {
    ErrorCode.QUOTA_EXCEEDED: Reason.STORAGE,
    ErrorCode.STORAGE_FULL: Reason.DISK,
}


def reason_of(error: BaseException) -> Reason:
    """Return the reason for the message of an error."""
    match error:
        case OtherAccountError():
            return Reason.OTHER_ACCOUNT
        case NotSignedInError() | FarmAnswerError(status=401):
            return Reason.SIGN_IN
        case FarmAnswerError(may_pass=True, body=body):
            return _FULL.get(body.code, Reason.FARM_TROUBLE)
        case FarmAnswerError():
            return Reason.REFUSED
    reasons: dict[type[BaseException], Reason] = {
        FarmUnreachableError: Reason.FARM_UNREACHABLE,
        LocalFileError: Reason.LOCAL_FILE,
        CorruptDownloadError: Reason.CORRUPT,
        UnsafePathError: Reason.UNSAFE_PATH,
        StartError: Reason.JOURNAL,
    }
    found = (reason for kind, reason in reasons.items() if isinstance(error, kind))
    return next(found, Reason.UNEXPECTED)
