"""Accepts work: an upload or a submission, checked, and on disk before the caller is told."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from farm_protocol.paths import UnsafePathError, check_segment

from envoy.errors import InvalidRequestError
from envoy.farm.account import Account
from envoy.farm.client import FarmClient
from envoy.gather.gatherer import Gatherer
from envoy.journal import Entry, Journal, Watch
from envoy.journal.submissions import new_entry
from envoy.process.threads import in_thread
from envoy.submissions.coming import paths_to_announce
from envoy.submissions.compose import compose
from envoy.submissions.lacking import require
from envoy.submissions.wire import FileGroup, SubmitBody, UploadBody
from envoy.upload.own_results import without_own_results
from envoy.upload.scan import Group, Scanned, scan
from envoy.upload.worker import Uploader

MOST_SCENES = 50
"""Scenes of an upload whose files are looked for: it does not say which ones will be rendered."""


class Projects:
    """Accepts uploads and submissions."""

    def __init__(
        self,
        journal: Journal,
        farm: FarmClient,
        account: Account,
        uploader: Uploader,
        gatherer: Gatherer,
    ) -> None:
        self._gatherer = gatherer
        self._journal = journal
        self._farm = farm
        self._account = account
        self._uploader = uploader

    async def upload(self, body: UploadBody) -> str:
        """Accept files to upload; returns the project's name. They are sent in the background.

        Raises:
            InvalidRequestError: a file is missing or a path cannot be used.
            NotSignedInError: nobody is signed in.
        """
        account = self._account.required()
        if not body.upload:
            raise InvalidRequestError.of("upload", "There is nothing to upload.")
        project = body.upload[0].remote_root.strip("/").split("/", 1)[0]
        try:
            check_segment(project)
        except UnsafePathError as error:
            raise InvalidRequestError.of("upload[0].remoteRoot", str(error)) from error
        found = await self._scan(body.upload, project, "upload")
        found.skipped.extend(body.skipped_files)
        # A later submission without upload may render any of them, and has only what is sent now.
        scenes = [file.remote for file in found.files if file.remote.endswith(".blend")]
        gathered = await in_thread(
            self._gatherer.gather,
            scenes[:MOST_SCENES],
            found.files,
            project,
            _root_of(project, body.upload),
            body.gather_files,
        )
        if len(scenes) > MOST_SCENES:
            found.skipped.add(
                f"Envoy looked for the files that the first {MOST_SCENES} scenes name, of"
                f" {len(scenes)}. Submit the others with their files."
            )
        found = replace(found, files=[*found.files, *gathered.files])
        entry = new_entry(
            uuid4().hex,
            account,
            project,
            found.files,
            farm=self._farm.identity,
            warnings=dict.fromkeys([*found.skipped.messages, *gathered.messages]),
        )
        await self._accept(entry, found)
        return project

    async def submit(self, body: SubmitBody) -> Entry:
        """Accept a submission; returns its entry of the journal.

        The farm has found it valid, and it is on the disk, before this returns; uploading and
        submitting follow in the background.

        Raises:
            InvalidRequestError, NotSignedInError: as for `upload`.
            FarmAnswerError, FarmUnreachableError: the farm refused, or does not answer.
        """
        account = self._account.required()
        # In a thread: compiling a thousand patterns takes a while.
        plan = await in_thread(compose, body)
        spec = plan.spec
        root = body.project_request.params.local_root
        found = await self._scan(plan.groups, spec.project, "project_files", root)
        found.skipped.extend(body.skipped_files)
        gathered = await in_thread(
            self._gatherer.gather,
            [job.path for job in spec.jobs],
            found.files,
            spec.project,
            root,
            body.gather_files,
        )
        found = replace(found, files=[*found.files, *gathered.files])
        awaited = self._journal.submissions.awaited_paths
        coming = await in_thread(awaited, spec.project, account, self._farm.identity)
        coming.update(file.remote for file in found.files)
        await require(spec.jobs, gathered.needed, coming, self._farm.manifest_page)
        pending = await in_thread(paths_to_announce, coming, spec.jobs)
        check = await self._farm.check(spec.model_copy(update={"pending_files": pending}))
        entry = new_entry(
            spec.id,
            account,
            spec.project,
            found.files,
            farm=self._farm.identity,
            name=spec.name,
            output_folder=spec.output_folder,
            spec=spec.model_dump_json(),
            warnings=dict.fromkeys(
                [*found.skipped.messages, *gathered.messages, *check.warnings],
            ),
        )
        await self._accept(entry, found, plan.watches)
        return entry

    async def _scan(
        self, groups: Sequence[FileGroup], project: str, field: str, local_root: str = ""
    ) -> Scanned:
        return await in_thread(self._scan_now, groups, project, field, local_root)

    def _scan_now(
        self, groups: Sequence[FileGroup], project: str, field: str, local_root: str
    ) -> Scanned:
        found = scan([_group(group) for group in groups], project, field, local_root)
        roots = {Path(group.local_root) for group in groups}
        named = {
            str(Path(group.local_root, name))
            for group in groups
            for name in (group.named if group.named is not None else group.files or ())
        }
        files = without_own_results(found.files, roots, named, self._journal)
        return replace(found, files=files)

    async def _accept(self, entry: Entry, found: Scanned, watches: Sequence[Watch] = ()) -> None:
        add = self._journal.submissions.add
        await in_thread(add, entry, found.files, watches, found.folders)
        self._uploader.add(entry)


def _root_of(project: str, groups: Sequence[FileGroup]) -> str:
    """Return the local folder whose files lie at the top of a project; "" if there is none."""
    roots = (each.local_root for each in groups if each.remote_root.strip("/") == project)
    return next(roots, "")


def _group(group: FileGroup) -> Group:
    named = None if group.named is None else frozenset(group.named)
    return Group(group.local_root, group.remote_root, group.files, named, group.folders)
