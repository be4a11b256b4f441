"""What Envoy says of its own work: a message for people, and the reason behind it for programs.

Nothing depends on the words of a message. What jobs say is the farm's: `JobReason`.
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
    """What a message of Envoy's is about, for programs: the message itself may change its words.

    What uploads, submissions and downloads wait for: FARM_STARTING: the embedded farm starts, or
    is started again. FARM_UNREACHABLE: the farm does not answer. STORAGE, DISK: until the account,
    or the farm's disk, has room. FARM_TROUBLE: the farm answers with another error that may pass.
    SIGN_IN, OTHER_ACCOUNT: until somebody signs in, or another one.
    OTHER_FARM: they are another farm's. JOURNAL: Envoy cannot write its journal, or read it.
    DISK_FULL, DISK_SILENT, FOLDER: a folder of results is on a full disk, on one that does not
    answer, or cannot be written. FOLDER_EXCHANGED: a link has taken its place. DOWNLOADS: the last
    results are on their way. JOBS: what jobs say, which have reasons of their own.

    Why they failed: REFUSED: the farm does not take it, or does not give it. LOCAL_FILE: a file to
    upload is gone, has changed or cannot be read. STOPPED: its user stopped it. DAMAGED: Envoy's
    memory of it is. GONE: the farm no longer has the result. CORRUPT: its bytes are not those that
    were announced. UNSAFE_PATH: it has a path that no file may have here. UNEXPECTED: a fault of
    Envoy's, which its log describes.
    """

    NONE = ""
    FARM_STARTING = "farm_starting"
    FARM_UNREACHABLE = "farm_unreachable"
    FARM_TROUBLE = "farm_trouble"
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
        """Return no reason for one that only a newer Envoy knows: its message still tells it."""
        return cls.NONE


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """A message and what it is about."""

    message: str = ""
    reason: Reason = Reason.NONE


NO_MESSAGE = StatusMessage()

_FULL: dict[str, Reason] = {
    ErrorCode.QUOTA_EXCEEDED: Reason.STORAGE,
    ErrorCode.STORAGE_FULL: Reason.DISK,
}


def reason_of(error: BaseException) -> Reason:
    """Return what the message of an error is about."""
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
