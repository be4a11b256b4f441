"""What always holds for a farm, whatever users, runners, the clock and crashes do."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from farm.db import accounts, ledger, metering
from farm.db import claims as claim_rows
from farm.db.tables import claims, frame_runs, frames, job_dependencies, jobs, runners
from farm.jobs.dependencies import find_cycle
from farm.jobs.licences import FREE_SECONDS_OF_A_TRY
from farm_protocol.jobs import BudgetAction, JobReason, JobState
from hypothesis.stateful import RuleBasedStateMachine, invariant
from scheduler.world import FREE_A_DAY, World
from sqlalchemy import select

LOST = {JobState.FAILED, JobState.STOPPED, JobState.BLOCKED}


class Invariants(RuleBasedStateMachine):
    """Looks after every step.

    Attributes:
        world: once the farm has begun.
        started_over: jobs of which frames may be delivered once more.
        used: what each job had cost when it was last looked at, in micros.
        computed: processor seconds that a claim's end told of.
        acted: jobs whose budget has acted.
        at_rest: jobs that a budget has suspended, until their users do something to them.
    """

    world: World
    started_over: set[str]
    used: Counter[str]
    computed: dict[str, float]
    acted: set[str]
    at_rest: set[str]

    def rows(self) -> dict[str, Any]:
        with self.world.database.read() as connection:
            found = connection.execute(select(jobs)).mappings()
            return {row["id"]: dict(row) for row in found}

    @invariant()
    def no_frame_is_lost(self) -> None:
        if not hasattr(self, "world"):
            return
        with self.world.database.read() as connection:
            all_frames = connection.execute(select(frames)).all()
            # Also by another name: `count` is a method of every row.
            all_runs = connection.execute(
                select(frame_runs, frame_runs.c.count.label("frames"))
            ).all()
            open_claims = {each.id: each for each in claim_rows.open_claims(connection)}
            living = set(
                connection.execute(
                    select(runners.c.id).where(runners.c.ended_at.is_(None))
                ).scalars()
            )
        rows = self.rows()
        states: dict[str, Counter[str]] = {job_id: Counter() for job_id in rows}
        for frame in all_frames:
            states[frame.job_id][frame.state] += 1
            row = rows[frame.job_id]
            # While an ended job starts over, portion by portion, its later frames are still done.
            goes_on = not JobState(row["state"]).is_final
            if goes_on and row["frames_done"] < row["test_frames"] <= frame.position:
                assert frame.state in ("waiting", "failed"), "not before the test frames"
            if frame.state == "running":
                assert open_claims[frame.claim_id].job_id == frame.job_id
        numbers = Counter((frame.job_id, frame.number) for frame in all_frames)
        for run in all_runs:
            row = rows[run.job_id]
            assert row["frames_total"] == run.position + run.frames + sum(
                each.frames
                for each in all_runs
                if each.job_id == run.job_id and each.position > run.position
            ), "what nobody has touched was asked for last"
            steps = range(run.lowest, run.highest + 1, abs(run.step))
            assert (len(steps), steps[-1]) == (run.frames, run.highest)
            numbers.update((run.job_id, number) for number in steps)
            states[run.job_id][run.state] += run.frames
            if row["frames_done"] < row["test_frames"]:
                assert run.state in ("waiting", "failed")
        assert set(numbers.values()) <= {1}, "a frame is there twice"
        assert {each.runner_id for each in open_claims.values()} <= living
        for job_id, row in rows.items():
            count = states[job_id]
            assert row["frames_total"] == sum(count.values())
            assert row["frames_done"] == count["done"]
            assert row["frames_failed"] == count["failed"]
            assert row["frames_running"] == count["running"]

    @invariant()
    def the_ledger_adds_up(self) -> None:
        if not hasattr(self, "world"):
            return
        with self.world.database.read() as connection:
            assert ledger.faults(connection) == []
            metered = metering.by_job(connection)
            for user_id in self.world.user_ids:
                account = accounts.by_id(connection, user_id)
                movements = ledger.history(connection, user_id, None, 100_000)
                usage = [each for each in movements if each.kind == ledger.USAGE]
                assert all(each.amount_micros <= 0 for each in usage)
                delivered = Counter(each.reference for each in usage)
                assert set(delivered.values()) <= {1}
                consumed = [each for each in movements if each.kind != ledger.GRANT]
                assert account.consumed_micros == -sum(each.amount_micros for each in consumed)
        assert all(micros >= 0 for micros in metered.values())

    @invariant()
    def credits_fall_only_by_a_refund_or_a_missing_licence(self) -> None:
        if not hasattr(self, "world"):
            return
        used: Counter[str] = Counter()
        with self.world.database.read() as connection:
            all_claims = {row.id: row for row in connection.execute(select(claims))}
            used.update(metering.by_job(connection))
            posted: Counter[str] = Counter()
            for user_id in self.world.user_ids:
                for each in ledger.history(connection, user_id, None, 100_000):
                    if each.kind == ledger.GRANT:
                        continue
                    claim = all_claims[each.reference.split(":")[1]]
                    posted[claim.job_id] -= each.amount_micros
                    if each.kind == ledger.REFUND:
                        assert claim.outcome in ("failed", "lost", "completed")
                        used[claim.job_id] += each.amount_micros
        free: Counter[str] = Counter()
        rows = self.rows()
        unpaid: list[tuple[str, datetime, float]] = []
        for claim in all_claims.values():
            if claim.ended_at is None or claim.frames_done == claim.frames_total:
                continue
            if claim.outcome == "no_licence" and not claim.frames_done:
                assert claim.unposted_seconds <= FREE_SECONDS_OF_A_TRY
                free[claim.job_id] += claim.unposted_seconds
                in_all = claim.seconds + claim.unposted_seconds
                paid = min(in_all, self.computed[claim.id])
                assert claim.seconds >= paid - 1e-6, "what computes is paid"
                account = rows[claim.job_id]["account_id"]
                unpaid.append((account, claim.ended_at, claim.unposted_seconds))
            else:
                assert not claim.unposted_seconds, "only waiting for a licence is free"
        for account, until, _ in unpaid:
            of_a_day = [
                seconds
                for whose, ended_at, seconds in unpaid
                if whose == account and until - timedelta(days=1) < ended_at <= until
            ]
            assert sum(of_a_day) <= FREE_A_DAY + 1e-6
        for job_id, seconds in free.items():
            used[job_id] += round(seconds * 10**6)
        for job_id, row in rows.items():
            assert row["credits_micros"] == posted[job_id]
            used[job_id] += row["credits_micros"]
            assert used[job_id] >= self.used[job_id] - len(all_claims)  # Each may be rounded.
        self.used = used

    @invariant()
    def only_its_user_wakes_a_job_that_its_budget_suspended(self) -> None:
        if not hasattr(self, "world"):
            return
        rows = self.rows()
        acted = {job_id for job_id, row in rows.items() if row["budget_acted"]}
        for job_id in acted - self.acted:
            if rows[job_id]["budget_action"] == BudgetAction.SUSPEND:
                self.at_rest.add(job_id)
        self.acted = acted
        for job_id in self.at_rest:
            row = rows[job_id]
            # The frames that were being rendered may have been its last ones.
            assert row["state"] in (JobState.SUSPENDED, JobState.COMPLETED, JobState.FAILED)
            assert not row["suspended_for"]

    @invariant()
    def states_are_what_the_frames_and_the_graph_say(self) -> None:
        if not hasattr(self, "world"):
            return
        rows = self.rows()
        needs: dict[str, list[str]] = {job_id: [] for job_id in rows}
        with self.world.database.read() as connection:
            for job_id, needed in connection.execute(select(job_dependencies)):
                needs[job_id].append(needed)
        assert not find_cycle(needs)
        for job_id, row in rows.items():
            assert bool(row["reason"]) == bool(row["message"])
            state = JobState(row["state"])
            needed = [JobState(rows[each]["state"]) for each in needs[job_id]]
            left = row["frames_total"] - row["frames_done"] - row["frames_failed"]
            if state is JobState.BLOCKED:
                assert any(each in LOST for each in needed)
                assert row["message"]
                assert row["reason"] == JobReason.JOBS
            elif state is JobState.PENDING:
                assert not any(each in LOST for each in needed)
                assert not all(each is JobState.COMPLETED for each in needed)
                assert row["message"]
                assert row["reason"] == JobReason.JOBS
            elif state is JobState.STOPPED:
                assert row["frames_running"] == 0
            elif state is JobState.COMPLETED:
                assert (left, row["frames_failed"]) == (0, 0)
            elif state is JobState.FAILED:
                assert (left, row["frames_failed"] > 0) == (0, True)
                assert row["message"]
                assert row["reason"] in (JobReason.FRAMES, JobReason.TEST_FRAMES)
            elif state in (JobState.READY, JobState.RUNNING):
                assert left > 0
                if not self.started_over.intersection(needs[job_id]):
                    assert all(each is JobState.COMPLETED for each in needed)
