from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from gridmarkets.product_resolver import ProductResolver
from gridmarkets.project import Project

DEFAULT_URL: str

class _Answer:
    status_code: int
    text: str
    content: bytes
    def json(self) -> Any: ...

class _HttpClient:
    url: str
    def request(
        self,
        method: str,
        url: str,
        body: Any = ...,
        params: Optional[Sequence[Tuple[str, Any]]] = ...,
        timeout: Optional[float] = ...,
    ) -> _Answer: ...

class EnvoyClient:
    MACHINE_CATEGORY_CPU: str
    MACHINE_CATEGORY_GPU: str
    MACHINE_CATEGORY_ALL: str
    email: Optional[str]
    access_key: Optional[str]
    url: str
    http_client: _HttpClient
    def __init__(
        self,
        email: Optional[str] = ...,
        access_key: Optional[str] = ...,
        url: Optional[str] = ...,
    ) -> None: ...
    @property
    def version(self) -> str: ...
    def authenticate(self, email: str, password: str) -> bool: ...
    def validate_auth(self) -> bool: ...
    def validate_credits(self) -> bool: ...
    def get_user_info(self) -> Dict[str, Any]: ...
    def get_product_resolver(self) -> ProductResolver: ...
    def get_machines(
        self,
        app: str,
        operation: str,
        category: Union[str, bool] = ...,
        plugins: Union[str, Sequence[str], None] = ...,
        is_gpu: Optional[bool] = ...,
    ) -> List[Dict[str, Any]]: ...
    def submit_project(
        self, project: Project, skip_upload: bool = ..., skip_auto_download: bool = ...
    ) -> str: ...
    def upload_project_files(self, project: Project) -> str: ...
    def get_project_status(self, project_name: str) -> Dict[str, Any]: ...
