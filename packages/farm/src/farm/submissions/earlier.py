"""Files that a submission names, and that earlier submissions of its project have rendered."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from farm.db import earlier_results
from farm.db.earlier_results import Use
from farm.products import ImageSequence
from farm.submissions.sequences import Looks


class Earlier:
    """Finds results of earlier submissions, for one that is being checked.

    A submission that is not stored yet is later than all stored ones.
    """

    def __init__(self, connection: Connection, project: str | None) -> None:
        """Search a project; None: one that does not exist yet."""
        self._connection, self._project = connection, project
        self._images: dict[ImageSequence, dict[int, str]] = {}
        self._newest: dict[str, datetime] = {}

    def file(self, path: str, uses: list[Use]) -> str | None:
        """Return the blob of a result; None: there is none at this path.

        Parameters:
            uses: called with what a job then depends on: all results of the job that has written
                the file, since the file may refer to others beside it.
        """
        if self._project is None:
            return None
        found = earlier_results.named(self._connection, self._project, path)
        if found is None:
            return None
        blob, job_id, folder = found
        uses += [use for use in self.uses([job_id], f"{folder}/") if use not in uses]
        return blob

    def images(self, looks: Looks, sequence: ImageSequence) -> Mapping[int, str]:
        """Return the frames of a sequence that have results, and their jobs.

        Raises TooManyNamesError.
        """
        if self._project is None:
            return {}
        if sequence not in self._images:
            begins = sequence.folder + sequence.head
            # One more than the limit.
            found = earlier_results.beginning(
                self._connection, self._project, begins, looks.left + 1
            )
            looks.spend(len(found))
            frames = {sequence.frame(path): job_id for path, job_id in found}
            self._images[sequence] = {
                frame: job_id for frame, job_id in frames.items() if frame is not None
            }
        return self._images[sequence]

    def uses(self, job_ids: Iterable[str], begins: str) -> list[Use]:
        """Return how a job depends on these jobs' results whose paths begin with a prefix."""
        return [Use(job_id, begins, self._newest_of(job_id)) for job_id in sorted(job_ids)]

    def _newest_of(self, job_id: str) -> datetime:
        if job_id not in self._newest:
            self._newest[job_id] = earlier_results.newest(self._connection, job_id)
        return self._newest[job_id]
