"""The scheduler's loop: reads, lets `plan` decide, applies. One per farm, in a thread."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from farm_protocol.backoff import BackOff
from farm_protocol.jobs import JobState
from farm_protocol.runner import CLAIM_TIMEOUT_SECONDS, HEARTBEAT_SECONDS, IDLE_TIMEOUT_SECONDS
from sqlalchemy import Connection, select

from farm.accounts.credentials import hash_secret, new_secret
from farm.db import capacity, feed, job_rows, runners
from farm.db import claims as claim_rows
from farm.db.engine.database import Database
from farm.db.runners import RunnerRow
from farm.db.tables import jobs
from farm.engines.port import Engine, EngineError, LaunchRequest, Phase
from farm.jobs.status_messages import no_runner
from farm.jobs.transitions import Event
from farm.scheduler import claim_ends, claims, money, sights, writer
from farm.scheduler.plan import Decision, Launch, Snapshot, plan
from farm.scheduler.sights import Sights
from farm.scheduler.snapshot import read_snapshot
from farm.wakeup import Wakeup

logger = logging.getLogger(__name__)

BUSY_SECONDS = 2.0
"""Between two passes while runners live: a lost one is noticed soon."""

IDLE_SECONDS = 5.0
"""Between two passes while nothing runs. Events in the API wake the loop; changes by the commands
beside the farm are noticed by the next pass.
"""

REST_SHARE = 4.0
"""How long the loop rests after a pass, relative to the pass: it takes a fifth of a core at most,
and a request that arrives meanwhile waits for some milliseconds. At most `BUSY_SECONDS`, though: a
lost runner must be noticed.
"""

_PATIENCE = timedelta(seconds=CLAIM_TIMEOUT_SECONDS)
_PAUSE = timedelta(seconds=CLAIM_TIMEOUT_SECONDS - 2 * HEARTBEAT_SECONDS)
"""A longer gap between passes means that the farm, its host or its clock stood still or jumped. A
living runner may then look silent; one that reports every few seconds does not yet.
"""

_LAUNCH_GRACE = timedelta(seconds=2 * CLAIM_TIMEOUT_SECONDS)
_STUCK_GRACE = timedelta(seconds=30)
"""How long a runner that fell silent and lost its claim may take to come back."""

_IDLE_GRACE = timedelta(seconds=IDLE_TIMEOUT_SECONDS)
_HUNG = f"a runner was not heard from for {IDLE_TIMEOUT_SECONDS / 60:.0f} minutes"
_ENDED = "a runner ended before it could start"

_BACK_OFF = BackOff(1.0, 60.0)


class Scheduler:
    """Starts runners as `plan` decides, and takes back the work of those that vanish."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        slots: Mapping[str, int],
        wakeup: Wakeup,
        changes: Wakeup,
        farm_url: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        disk_is_full: Callable[[], bool] = lambda: False,
        disk_left: Callable[[], int] = lambda: money.NO_END,
    ) -> None:
        """Use these parts; nothing happens before `run`.

        Parameters:
            slots: capacity by machine type, as configured.
            wakeup: notified whenever there may be something to do.
            changes: to notify when a job has changed.
            farm_url: the address to which runners report.
            disk_is_full: returns whether there is hardly room for results.
            disk_left: returns the bytes that files may still take of it.
        """
        self._database = database
        self._engine = engine
        self._slots = slots
        self._wakeup = wakeup
        self._changes = changes
        self._farm_url = farm_url
        self._clock = clock
        self._disk_is_full, self._disk_left = disk_is_full, disk_left
        self._stopping = threading.Event()
        # Jobs whose runners end before they claim: (consecutive failures, time of the next launch).
        self._held_back: dict[str, tuple[int, datetime]] = {}
        self._was_busy = False
        self._told = 0
        self._last_pass: datetime | None = None
        self._patient_until = datetime.min.replace(tzinfo=UTC)
        self.has_lost_database = False

    def run(self) -> None:
        """Work until `stop`; an error in one pass is logged, and the next pass retries.

        Ends, and sets `has_lost_database`, when another farm has taken the database meanwhile.
        """
        while not self._stopping.is_set():
            seen = self._wakeup.count
            start = time.monotonic()
            try:
                if not self._database.keep():
                    self.has_lost_database = True
                    return
                busy = self.tick()
            except Exception:
                logger.exception("a pass of the scheduler failed; the next one tries again")
                busy = True
                self._last_pass = None  # Perhaps nobody could write: see `_is_patient`.
            # Under load every call wakes the loop: one pass then answers several of them.
            rest = min((time.monotonic() - start) * REST_SHARE, BUSY_SECONDS)
            self._stopping.wait(rest)
            self._wakeup.wait(seen, (BUSY_SECONDS if busy else IDLE_SECONDS) - rest)

    def stop(self) -> None:
        """Let `run` return soon."""
        self._stopping.set()
        self._wakeup.notify()

    def stop_runners(self) -> None:
        """Ask every runner that does not outlive the farm to end, since the farm shuts down."""
        self._engine.close()
        if self._engine.outlives_farm:
            return
        with self._database.read() as connection:
            living = runners.live_runners(connection)
        for runner in living:
            if runner.reference is not None:
                self._engine.stop(runner.reference)

    def expect_work(self) -> None:
        """A submission is expected: let the engine prepare for it."""
        self._engine.prepare()

    def runners_alive(self) -> bool:
        """Return whether runners are alive that must end before the farm does."""
        if self._engine.outlives_farm:
            return False
        with self._database.read() as connection:
            living = runners.live_runners(connection)
        return any(sight.phase is not Phase.GONE for sight in self._look(living).values())

    def tick(self) -> bool:
        """Do one pass. Returns whether runners are alive or wanted."""
        now = self._clock()
        with self._database.read() as connection:
            living = runners.live_runners(connection)
            silent = claim_rows.silent_claims(connection, now)
            stuck = runners.stuck_runners(connection, now - _STUCK_GRACE) if living else []
            idle = runners.idle_runners(connection, now - _IDLE_GRACE) if living else []
            stopping = list(
                connection.execute(
                    select(jobs.c.id).where(jobs.c.state == JobState.STOPPING.value)
                ).scalars()
            )
        patient = self._is_patient(now)
        seen = self._look(living)
        gone = self._vanished(living, seen, now)
        self._note_begun(living, seen, now)
        self._tell_queued(living, seen)
        if gone or stuck or ((silent or idle) and not patient):
            self._take_back(gone, now)
        if stopping:
            self._finish_stops(stopping, now)
        disk = not self._disk_is_full()
        money.review(
            self._database, now, disk=disk, left=self._disk_left() if disk else money.NO_END
        )
        with self._database.read() as connection:
            slots = capacity.slots(connection, self._slots)
            snapshot = read_snapshot(connection, slots, self._back_off(now), now)
        decision = plan(snapshot)
        self._let_yield(snapshot, decision)
        self._launch(decision.launches)
        self._prepare(snapshot, decision, bool(living))
        self._tell_readers()
        return bool(living or decision.launches or self._held_back)

    def _is_patient(self, now: datetime) -> bool:
        """Return whether runners may seem silent because nobody could hear them.

        That is the case after a start, after a pause of the process, its host or its database, and
        after a jump of the clock in either direction: runners then have a whole
        `CLAIM_TIMEOUT_SECONDS` to be heard again. Silence is measured by this clock, so no other
        needs to be compared with it.
        """
        last, self._last_pass = self._last_pass, now
        if last is None or not timedelta(0) <= now - last <= _PAUSE:
            self._patient_until = now + _PATIENCE
        return now < self._patient_until

    def _tell_readers(self) -> None:
        """Wake the readers of the feed: a command of another process may have written to it."""
        with self._database.read() as connection:
            newest = feed.newest_of_all(connection)
        if newest != self._told:
            self._told = newest
            self._changes.notify()

    def _let_yield(self, snapshot: Snapshot, decision: Decision) -> None:
        yielding = {runner.id for job in snapshot.jobs for runner in job.runners if runner.yielding}
        if yielding != decision.yields:
            with self._database.write() as connection:
                runners.set_yielding(connection, decision.yields)

    def _prepare(self, snapshot: Snapshot, decision: Decision, living: bool) -> None:
        started = {launch.job_id for launch in decision.launches}
        if any(job.waiting and not job.runners and job.id not in started for job in snapshot.jobs):
            self._engine.prepare()  # For when a machine becomes free.
        elif self._was_busy and not living and not started:
            self._engine.prepare()  # A user who has just rendered often renders again.
        self._was_busy = living or bool(started)

    def _look(self, living: Sequence[RunnerRow]) -> Sights:
        """Return the engine's view of the runners, by reference; nothing when it is unknown."""
        references = [each.reference for each in living if each.reference is not None]
        try:
            return self._engine.look(references) if references else {}
        except EngineError as error:
            logger.warning("%s", error)
            return {}

    def _vanished(
        self, living: Sequence[RunnerRow], seen: Sights, now: datetime
    ) -> list[RunnerRow]:
        gone = sights.gone(living, seen)
        # Launched, perhaps, by a farm that crashed before it could record the reference.
        gone += [
            each
            for each in living
            if each.reference is None and each.created_at < now - _LAUNCH_GRACE
        ]
        if self._engine.certain or not gone:
            return gone
        with self._database.read() as connection:
            heard = runners.heard_since(connection, now - _PATIENCE)
        return [each for each in gone if each.id not in heard]

    def _note_begun(self, living: Sequence[RunnerRow], seen: Sights, now: datetime) -> None:
        """Start the time-out of runners that have left their engine's queue."""
        if begun := sights.begun(living, seen):
            with self._database.write() as connection:
                for runner in begun:
                    runners.set_heard(connection, runner.id, now)

    def _tell_queued(self, living: Sequence[RunnerRow], seen: Sights) -> None:
        """Let jobs say why they wait if all their runners are in the engine's queue."""
        messages = {
            job_id: no_runner(reason or "all machines are in use.")
            for job_id, reason in sights.queued(living, seen).items()
        }
        if not messages:
            return
        with self._database.read() as connection:
            waiting = job_rows.fetch_many(connection, list(messages))
        news = [each.id for each in waiting.values() if each.message != messages[each.id].message]
        if news:
            with self._database.write() as connection:
                for job in job_rows.fetch_many(connection, news).values():
                    writer.set_message_at_work(connection, job, messages[job.id])

    def _take_back(self, gone: list[RunnerRow], now: datetime) -> None:
        with self._database.write() as connection:
            # Checked again: after a long wait for the database, others may have written.
            patient = self._is_patient(self._clock())
            if not patient:
                claim_ends.expire_silent(connection, now)
            hung = runners.stuck_runners(connection, now - _STUCK_GRACE)
            hung += [] if patient else runners.idle_runners(connection, now - _IDLE_GRACE)
            for runner in {each.id: each for each in hung}.values():
                # It holds a slot and does nothing with it.
                if runner.reference is not None:
                    self._engine.stop(runner.reference)
                self._dismiss(connection, runner, _HUNG, now)
            for runner in gone:
                self._dismiss(connection, runner, _ENDED, now)

    def _dismiss(self, connection: Connection, runner: RunnerRow, why: str, now: datetime) -> None:
        """Remove a runner, and take back its work."""
        row = job_rows.row(connection, runner.job_id)
        wanted = row.state in writer.AT_WORK and not runner.yielding
        if wanted and not runners.has_claimed(connection, runner.id):
            self._hold_back(runner.job_id, now)
            if not row.frames_running:
                writer.set_message(
                    connection, row, no_runner(f"{why}; another one is being started.")
                )
        claim_ends.runner_vanished(connection, runner, now)

    def _finish_stops(self, stopping: list[str], now: datetime) -> None:
        def finish(connection: Connection, job_ids: list[str]) -> None:
            of_these = set(job_ids)
            living = [r for r in runners.live_runners(connection) if r.job_id in of_these]
            for runner in living:
                if runner.reference is not None:
                    self._engine.stop(runner.reference)
            at_work = {runner.job_id for runner in living}
            over = [job_id for job_id in job_ids if job_id not in at_work]
            writer.apply_to_many(connection, over, Event.RUNNERS_GONE, now)

        self._database.write_in_portions(stopping, finish)

    def _launch(self, launches: Sequence[Launch]) -> None:
        requests = [
            LaunchRequest(
                runner_id=uuid4().hex,
                job_id=launch.job_id,
                machine_type=launch.machine_type,
                farm_url=self._farm_url,
                token=new_secret(),
            )
            for launch in launches
            for _ in range(launch.count)
        ]
        if not requests:
            return
        now = self._clock()
        with self._database.write() as connection:
            # Stored before they start: a runner without a record could not be stopped.
            for job_id in dict.fromkeys(request.job_id for request in requests):
                runners.note_served(connection, job_id, now)
            for request in requests:
                runners.add_runner(
                    connection,
                    runner_id=request.runner_id,
                    job_id=request.job_id,
                    token_hash=hash_secret(request.token),
                    host=self._engine.host,
                    now=now,
                    expires_at=now + claims.TOKEN_LIFE,
                )
        launched = self._engine.launch(requests)
        with self._database.write() as connection:
            for request, reference in zip(requests, launched, strict=True):
                if isinstance(reference, EngineError):
                    self._hold_back(request.job_id, now)
                    runners.end_runner(connection, request.runner_id, now)
                    row = job_rows.row(connection, request.job_id)
                    writer.set_message_at_work(connection, row, no_runner(str(reference)))
                else:
                    runners.set_reference(connection, request.runner_id, reference)

    def _hold_back(self, job_id: str, now: datetime) -> None:
        failures = self._held_back.get(job_id, (0, now))[0] + 1
        seconds = _BACK_OFF.after(failures)
        self._held_back[job_id] = (failures, now + timedelta(seconds=seconds))
        logger.warning("a runner of job %s could not start; next try in %.0f s", job_id, seconds)

    def _back_off(self, now: datetime) -> set[str]:
        # Forgotten after a quiet time as long as the longest back-off.
        self._held_back = {
            job_id: held
            for job_id, held in self._held_back.items()
            if now < held[1] + timedelta(seconds=_BACK_OFF.longest)
        }
        return {job_id for job_id, held in self._held_back.items() if now < held[1]}
