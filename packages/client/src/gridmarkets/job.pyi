from typing import Any, Dict, List, Optional

class Job:
    CREDITS_BUDGET_ACTION_STOP: str
    CREDITS_BUDGET_ACTION_SUSPEND: str
    CREDITS_BUDGET_ACTION_ALERT: str
    id: str
    name: str
    app: str
    app_version: str
    operation: str
    path: str
    params: Dict[str, Any]
    dependencies: List[Job]
    credits_budget: Optional[Dict[str, Any]]
    def __init__(
        self,
        name: str,
        app: str,
        app_version: str,
        operation: Optional[str] = ...,
        path: str = ...,
        **params: Any,
    ) -> None: ...
    def add_dependencies(self, *jobs: Job) -> None: ...
    def set_credits_budget(self, value: float, action: str) -> None: ...
