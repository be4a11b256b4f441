"""Jobs that wait in a farm's database: stored directly, which takes seconds and not hours."""

from datetime import UTC, datetime
from decimal import Decimal

from farm.accounts.users import create
from farm.db import projects
from farm.db.engine.database import Database
from farm.db.tables import frames, jobs, submissions
from farm_protocol.users import NewUser
from sqlalchemy import func, insert, select

_AT_ONCE = 5_000
"""Jobs of one transaction: a farm that runs meanwhile must have its turn."""


class Backlog:
    """Jobs of one frame each, of many users, as `farm.submissions.create` stores them."""

    def __init__(self, database: Database, users: int, priority: int) -> None:
        """Make the users; all jobs have this ``priority`` (0 to 100)."""
        self._database = database
        self._priority = priority
        self._count = 0
        made = [
            create(database, NewUser(email=f"u{each}@example.com", credits=Decimal(1000)))
            for each in range(users)
        ]
        self._users = [user.id for user in made]
        self.key = made[0].access_key
        """Access key of the user whose are the oldest job and every ``users``-th after it."""
        now = datetime.now(UTC)
        with database.write() as connection:
            self._projects = {
                user: projects.ensure(connection, user, "demo", now).id for user in self._users
            }

    def grow(self, count: int) -> None:
        """Add jobs until there are ``count``."""
        for first in range(self._count, count, _AT_ONCE):
            self._add(range(first, min(count, first + _AT_ONCE)))
        self._count = max(self._count, count)

    @property
    def oldest(self) -> str:
        """Id of the oldest job, and of its submission, once there is one."""
        return _name(0)

    def _add(self, numbers: range) -> None:
        now = datetime.now(UTC)
        names = {number: _name(number) for number in numbers}
        owners = {number: self._users[number % len(self._users)] for number in numbers}
        with self._database.write() as connection:
            newest = connection.execute(select(func.max(submissions.c.number))).scalar() or 0
            connection.execute(
                insert(submissions),
                [
                    {
                        "id": name,
                        "account_id": owners[number],
                        "project_id": self._projects[owners[number]],
                        "snapshot": 1,
                        "project": "demo",
                        "name": "s",
                        "output_folder": "demo/out",
                        "submitted_at": now,
                        "number": newest + place,
                    }
                    for place, (number, name) in enumerate(names.items(), 1)
                ],
            )
            connection.execute(
                insert(jobs),
                [self._job(name, owners[number], now) for number, name in names.items()],
            )
            waiting = {"number": 1, "position": 0, "state": "waiting"}
            waiting |= {"failures": 0, "losses": 0, "seconds": 0.0}
            connection.execute(
                insert(frames), [{"job_id": name, **waiting} for name in names.values()]
            )

    def _job(self, name: str, user: str, now: datetime) -> dict[str, object]:
        texts = ("client_id", "name", "app", "app_version", "operation", "template", "scene")
        zeros = (
            *("frames_done", "frames_failed", "frames_running", "credits_micros", "position"),
            *("test_frames", "licence_failures", "budget_micros"),
        )
        return {
            **dict.fromkeys(texts, "x"),
            **dict.fromkeys(zeros, 0),
            "id": name,
            "submission_id": name,
            "account_id": user,
            "submitted_at": now,
            "parameters": {"frames": "1"},
            "plugins": [],
            "warnings": [],
            "instances": 1,
            "priority": self._priority,
            "machine_type": "local-cpu",
            "budget_acted": False,
            "budget_action": "",
            "suspended_for": "",
            "credits_per_hour": "1",
            "state": "ready",
            "message": "",
            "frames_total": 1,
        }


def _name(number: int) -> str:
    return f"b{number:031x}"
