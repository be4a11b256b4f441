"""The embedded farm: a second process on this machine, started, adopted, watched and stopped.

Envoy never imports it. Their contract: the farm prints a `ReadyLine` once it answers; it keeps an
`Announcement` in its folder, readable only by its user; it proves that it knows the secret in there
(`farm_protocol.proof`); and the end of its standard input means that Envoy is gone, after which it
exits as soon as it is idle.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from farm_protocol.announcement import Announcement, ReadyLine
from farm_protocol.private import FOLDER_MODE, open_private
from farm_protocol.proof import Identity
from pydantic import ValidationError

from envoy.errors import EnvoyError
from envoy.farm.client import FarmClient
from envoy.process.status_messages import Reason, StatusMessage
from envoy.process.threads import in_thread
from envoy.process.waiting import WaitingRoom, pause_seconds

READY_SECONDS = 60.0
STOP_SECONDS = 5.0
STEADY_SECONDS = 60.0
"""A farm that ran this long was healthy: when it ends, the count of failures starts over."""
LOOK_SECONDS = 2.0
MOST_LOG_BYTES = 10 * 1024 * 1024
_WHO = "farm"


class FarmStartError(EnvoyError):
    """The farm could not be started."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A farm that an earlier Envoy started, and its identity."""

    identity: Identity
    pid: int


class EmbeddedFarm:
    """Keeps one farm running, and the client pointed at it.

    Parameters:
        folder: the farm's data folder.
        log_path: where its output goes.
        command: what to start; None: the farm of this Python.
    """

    def __init__(
        self,
        folder: Path,
        log_path: Path,
        farm: FarmClient,
        waiting: WaitingRoom,
        command: Sequence[str] | None = None,
    ) -> None:
        self._folder = folder
        self._log_path = log_path
        self._farm = farm
        self._waiting = waiting
        self._command = command or [
            *(sys.executable, "-P", "-m", "farm", "serve"),
            *("--data-dir", str(folder), "--embedded"),
        ]
        self._process: asyncio.subprocess.Process | None = None
        self._adopted: Adopted | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start keeping the farm running; returns at once."""
        self._tasks.add(asyncio.create_task(self._run()))

    async def stop(self) -> None:
        """Stop the farm, whoever started it: first politely, then by force."""
        for task in self._tasks:
            task.cancel()
        if self._process:
            await _stop_child(self._process)
        elif self._adopted and await self._is_ours(self._adopted):
            await _stop_stranger(self._adopted.pid)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                url, gone = await self._adopt() or await self._launch()
            except (FarmStartError, OSError) as error:
                failures += 1
                status = StatusMessage(
                    f"The farm on this machine cannot start: {error} Trying again.",
                    Reason.FARM_STARTING,
                )
            else:
                self._farm.set_url(url)
                self._waiting.clear(_WHO)
                self._waiting.wake_all()
                await gone()
                self._farm.set_url("")
                failures = 1 if clock() - began > STEADY_SECONDS else failures + 1
                status = StatusMessage(
                    "The farm on this machine has stopped; starting it again.",
                    Reason.FARM_STARTING,
                )
            self._process = self._adopted = None
            self._waiting.tell(_WHO, status)
            await asyncio.sleep(pause_seconds(failures))

    async def _adopt(self) -> tuple[str, Callable[[], Awaitable[None]]] | None:
        """Return a farm that already runs on our folder, and how to await its end."""
        found = await in_thread(_announced, self._folder)
        if found is None or not await self._is_ours(found):
            return None
        self._adopted = found

        async def gone() -> None:
            # No event reports the end of a process that is not our child; a failed call hints at
            # it.
            while await self._is_ours(found):
                await self._farm.missed(LOOK_SECONDS)

        return found.identity.url, gone

    async def _is_ours(self, found: Adopted) -> bool:
        """Return whether the announced farm is the one that answers at its address."""
        return await self._farm.is_at_home(found.identity)

    async def _launch(self) -> tuple[str, Callable[[], Awaitable[None]]]:
        """Start a farm; returns its address once it answers, and how to await its end."""
        starting = StatusMessage("The farm on this machine is starting.", Reason.FARM_STARTING)
        self._waiting.tell(_WHO, starting)
        self._folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        log = _open_log(self._log_path)
        try:
            # A group of its own: Ctrl-C in the terminal is for Envoy, which then stops the farm.
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=sys.platform != "win32",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except BaseException:
            log.close()
            raise
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        assert process.stdout is not None
        pump = asyncio.create_task(_pump(process.stdout, log, ready))
        self._tasks.add(pump)
        pump.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(READY_SECONDS):
                url = await ready
        except TimeoutError:
            await _stop_child(process)
            raise FarmStartError(
                f"it was not ready within {READY_SECONDS:.0f} s ({self._log_path})."
            ) from None
        except FarmStartError as error:
            status = await process.wait()
            last = await in_thread(_last_line, self._log_path)
            raise FarmStartError(f"{error} (exit status {status}; {last}).") from error

        async def gone() -> None:
            await process.wait()

        return url, gone


def _announced(folder: Path) -> Adopted | None:
    """Return the farm announced by a ``farm.json`` of this user."""
    try:
        announcement = Announcement.read(folder)
        owner = (folder / "farm.json").stat().st_uid
    except OSError:
        return None
    is_own = sys.platform == "win32" or owner == os.geteuid()
    # Signals to 0, 1 and negative numbers would reach other processes.
    if announcement is None or not is_own or not announcement.secret or announcement.pid <= 1:
        return None
    return Adopted(Identity(announcement.url, folder, announcement.secret), announcement.pid)


async def _pump(output: asyncio.StreamReader, log: BinaryIO, ready: asyncio.Future[str]) -> None:
    """Copy a farm's output to its log, and find its ready line."""
    unread = b""
    with log:
        while part := await output.read(65536):
            log.write(part)
            log.flush()
            if ready.done():
                continue
            *lines, unread = (unread + part).split(b"\n")
            for line in lines:
                url = _ready_url(line)
                if url and not ready.done():
                    ready.set_result(url)
    if not ready.done():
        ready.set_exception(FarmStartError("it ended before it was ready"))


def _ready_url(line: bytes) -> str:
    try:
        return ReadyLine.model_validate_json(line).url
    except ValidationError:
        return ""


async def _stop_child(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _stop_stranger(pid: int) -> None:
    """Stop a process that is not our child; its end cannot be awaited, only polled."""
    with suppress(OSError):
        os.kill(pid, signal.SIGTERM)
        for _ in range(int(STOP_SECONDS / 0.05)):
            await asyncio.sleep(0.05)
            if sys.platform == "win32":
                return  # On Windows SIGTERM ends a process at once, and signal 0 would too.
            os.kill(pid, 0)
        if sys.platform != "win32":
            os.kill(pid, signal.SIGKILL)


def _open_log(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    with suppress(OSError):
        if path.stat().st_size > MOST_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    return open(path, "ab", opener=open_private)


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 2000))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return f"see {path}"
    return lines[-1] if lines else f"see {path}"
