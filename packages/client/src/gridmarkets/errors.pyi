from typing import Dict, List, Mapping, Optional, Sequence

class EnvoyError(Exception):
    default_message: str
    user_message: str
    http_status: Optional[int]
    code: Optional[str]
    retry: bool
    def __init__(
        self,
        user_message: Optional[str] = ...,
        http_status: Optional[int] = ...,
        code: Optional[str] = ...,
        retry: bool = ...,
    ) -> None: ...

class AuthenticationError(EnvoyError): ...
class InsufficientCreditsError(EnvoyError): ...

class InvalidRequestError(EnvoyError):
    errors: Dict[str, List[str]]
    def __init__(
        self,
        user_message: Optional[str] = ...,
        http_status: Optional[int] = ...,
        code: Optional[str] = ...,
        retry: bool = ...,
        errors: Optional[Dict[str, List[str]]] = ...,
    ) -> None: ...

class APIError(EnvoyError): ...

ApIError = APIError

def messages(errors: Mapping[str, Sequence[str]]) -> str: ...
