"""A PostgreSQL server in a temporary folder, for tests and benchmarks.

Listens on a Unix socket only and is gone with the process that started it, however that ends.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

START_SECONDS = 30.0
_USER = "farm"
_INITDB = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")

# A process in between: it stops the server and removes the folder as soon as its standard input is
# closed, which happens at the end of our process in any case.
_KEEPER = '"$@" </dev/null & read -r _; kill -QUIT $!; wait; rm -rf "$FOLDER"'


class NoPostgresError(Exception):
    """No PostgreSQL can be started on this machine. ``str()`` says why."""


class TemporaryPostgres:
    """A running server. ``safe``: whether it flushes to the disk, which tests do not need."""

    def __init__(self, *, safe: bool = False) -> None:
        """Start a server. Raises NoPostgresError."""
        programs = _programs()
        user = _unprivileged()
        self._folder = Path(tempfile.mkdtemp(prefix="farm-pg-"))
        if user is not None:
            os.chown(self._folder, pwd.getpwnam(user).pw_uid, -1)
        data = self._folder / "data"
        made = subprocess.run(
            [programs / "initdb", "-D", data, "-U", _USER, "--no-sync", *_INITDB],
            user=user,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            shutil.rmtree(self._folder)
            raise NoPostgresError(f"initdb failed: {made.stderr.strip()}")
        self._log = (self._folder / "log").open("wb")
        flush = "on" if safe else "off"
        settings = {"fsync": flush, "synchronous_commit": flush, "full_page_writes": flush}
        settings |= {"listen_addresses": "", "unix_socket_directories": str(self._folder)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "sh", programs / "postgres", "-D", data, *options],
            user=user,
            cwd=self._folder,
            env={"PATH": os.environ.get("PATH", ""), "FOLDER": str(self._folder)},
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
        )
        self._await_answer()

    def _await_answer(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self._execute(sql.SQL("SELECT 1"))
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > until or self._keeper.poll() is not None:
                    log = (self._folder / "log").read_text()
                    self.close()
                    raise NoPostgresError(f"PostgreSQL does not start: {log}") from error
                time.sleep(0.02)

    def url(self, database: str) -> str:
        """Return the address of one of its databases."""
        return f"postgresql://{_USER}@/{database}?host={self._folder}"

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """Make a database, as a copy of another one; yield its name; drop it."""
        name = f"farm_{uuid4().hex}"
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        try:
            yield name
        finally:
            self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _execute(self, command: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(command)

    def close(self) -> None:
        """Stop the server; nothing is left of it."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait()
        self._log.close()


def _programs() -> Path:
    """Return the folder with initdb and postgres: the newest of Debian's, else that on PATH."""
    debian = Path("/usr/lib/postgresql")
    found = sorted(debian.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    if on_path is not None:
        return Path(on_path).resolve().parent
    raise NoPostgresError("there is no PostgreSQL on this machine (Debian: install postgresql)")


def _unprivileged() -> str | None:
    """Return the user to run the server as, since it refuses to run as root; None: this one."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NoPostgresError("PostgreSQL refuses to run as root, and there is no user 'postgres'")
