"""Projects and their files, as the published calls list them."""

from datetime import UTC, datetime

from farm_protocol.files import FileEntry
from farm_protocol.paths import UnsafePathError, check_segment

from envoy.farm.client import FarmClient
from envoy.journal import Journal
from envoy.process.threads import in_thread
from envoy.views.published import FileRow, ProjectRow


class ProjectLists:
    """Asks the farm, and adds what is still on its way there."""

    def __init__(self, journal: Journal, farm: FarmClient) -> None:
        self._journal = journal
        self._farm = farm

    async def projects(self) -> list[ProjectRow]:
        """Return all projects, those still on their way included, by name."""
        watches = await in_thread(self._journal.submissions.watches_by_project)
        sizes = {
            project.name: (project.num_files, project.total_size)
            for project in await self._farm.projects()
        }
        sizes = await in_thread(self._on_their_way, self._farm.account) | sizes
        return [
            ProjectRow(
                name=name,
                deleting=False,
                num_files=number,
                total_size=size,
                auto_downloading=name in watches,
                watched_list=[watch.pattern for watch in watches.get(name, [])],
            )
            for name, (number, size) in sorted(sizes.items())
        ]

    def _on_their_way(self, account: str) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for entry in self._journal.submissions.unfinished():
            if entry.project not in found and entry.account == account:
                files = self._journal.submissions.files(entry.id)
                found[entry.project] = (len(files), entry.bytes_total)
        return found

    async def files(self, project: str) -> list[FileRow]:
        """Return a project's files on the farm; none when it is unknown."""
        try:
            check_segment(project)
        except UnsafePathError:
            return []
        found = await self._farm.manifest(project)
        return await in_thread(_rows, found)


def _rows(files: list[FileEntry]) -> list[FileRow]:
    return [
        FileRow(
            name=f"/{file.path}",
            key=file.path,
            file_name=file.path.rpartition("/")[2],
            size=file.size,
            checksum=file.hash,
            last_modified=_time_text(file.mtime_ns),
        )
        for file in files
    ]


def _time_text(mtime_ns: int) -> str:
    try:
        moment = datetime.fromtimestamp(mtime_ns // 1_000_000_000, UTC)
    except (OverflowError, OSError, ValueError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")
