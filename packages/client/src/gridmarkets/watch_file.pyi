from os import PathLike
from typing import Union

class WatchFile:
    pattern: str
    download_path: str
    def __init__(self, pattern: str, download_path: Union[str, PathLike[str]]) -> None: ...
    @property
    def absolute_download_path(self) -> str: ...
    def pattern_for(self, remote_output_folder: str) -> str: ...
