"""Envoy's memory: one SQLite file that survives a kill at any moment.

`Journal` opens it; its parts are `submissions` (what was accepted, with its files, watches and
jobs), `downloads` (results to bring home, with the change feed's cursor) and `hashes` (hashes of
unchanged files). All calls are short, thread-safe and synchronous; long ones belong in a thread.

Durability: what Envoy has promised to a caller (an accepted submission) is on the disk before the
answer. Everything else may be lost by a power cut, together with the cursor that produced it, and
is then done again.
"""

from envoy.journal.downloads import (
    Download,
    DownloadCounts,
    DownloadState,
    LostDownload,
    NewDownload,
)
from envoy.journal.store import Journal
from envoy.journal.submissions import Entry, EntryState, UploadFile, UploadFolder, Watch

__all__ = [
    "Download",
    "DownloadCounts",
    "DownloadState",
    "Entry",
    "EntryState",
    "Journal",
    "LostDownload",
    "NewDownload",
    "UploadFile",
    "UploadFolder",
    "Watch",
]
