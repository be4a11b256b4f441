from datetime import datetime
from os import PathLike
from typing import Any, Dict, Iterable, List, Optional, Union, overload

from gridmarkets.job import Job
from gridmarkets.watch_file import WatchFile

_Path = Union[str, PathLike[str]]

RESULTS_FOLDER: str

class Project:
    name: str
    submission_name: str
    local_root: str
    remote_root: str
    timestamp: datetime
    params: Dict[str, Any]
    jobs: List[Job]
    watch_files: List[WatchFile]
    gather_files: Optional[bool]
    output_folder_name: str
    remote_output_folder_name: str
    remote_output_folder: str
    def __init__(
        self,
        local_root: _Path,
        name: Optional[str] = ...,
        submission_name: Optional[str] = ...,
        output_folder_name: Optional[str] = ...,
        **params: Any,
    ) -> None: ...
    @property
    def LocalRoot(self) -> str: ...
    @property
    def RemoteRoot(self) -> str: ...
    @property
    def files(self) -> List[str]: ...
    @property
    def skipped_files(self) -> List[str]: ...
    @overload
    def add_files(
        self, local_folder: _Path, remote_folder: str, files: Optional[Iterable[_Path]] = ...
    ) -> None: ...
    @overload
    def add_files(self, *paths: _Path) -> None: ...
    def add_folders(self, *folders: _Path) -> None: ...
    def add_jobs(self, *jobs: Job) -> None: ...
    def add_watch_files(self, *watch_files: WatchFile) -> None: ...
    def file_groups(self) -> List[Dict[str, Any]]: ...
