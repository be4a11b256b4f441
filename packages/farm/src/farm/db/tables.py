"""All tables. Everything is NOT NULL unless its comment says when it is not; times are UTC."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.schema import SchemaItem

from farm.db.columns import HASH, ID, SERIAL, Utc, text_column

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

farm_info = Table(
    "farm_info",
    metadata,
    Column("farm_id", ID, primary_key=True, comment="if it changes, Envoy's cursors are void"),
)

plans = Table(
    "plans",
    metadata,
    Column("name", String(50), primary_key=True),
    Column("job_throughput_limit", Integer, nullable=False, comment="instances of one job"),
    Column("max_throughput", Integer, nullable=False, comment="instances of a user"),
    Column("max_stored", BigInteger, nullable=False, comment="bytes of a user; 0: not fixed"),
    Column("max_in_flight", BigInteger, nullable=False, comment="bytes being sent; 0: not fixed"),
)

_MACHINE = "id of a machine type; '': the farm's default"
accounts = Table(
    "accounts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("email", String(320), nullable=False, unique=True, comment="case-folded"),
    text_column("name", 200),
    Column("password_hash", Text, nullable=True, comment="argon2id; NULL: no password login"),
    # No foreign key: SQLite cannot add one to a table that others refer to. `farm.accounts` checks.
    Column("plan", String(50), nullable=False, comment="name of a row of plans"),
    Column("role", String(10), nullable=False, comment="artist or admin"),
    Column("active", Boolean, nullable=False),
    Column("email_notices", Boolean, nullable=False, comment="whether to send notices by email"),
    Column("machine_cpu", String(100), nullable=False, comment=_MACHINE),
    Column("machine_gpu", String(100), nullable=False, comment=_MACHINE),
    Column("balance_micros", BigInteger, nullable=False, comment="derived from the ledger"),
    Column("consumed_micros", BigInteger, nullable=False, comment="derived from the ledger"),
    Column("stored_bytes", BigInteger, nullable=False, comment="derived from blobs"),
    Column("created_at", Utc, nullable=False),
    Column("served_at", Utc, nullable=True, comment="last start of a runner; NULL until the first"),
)

access_keys = Table(
    "access_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False),
    Column("key_hash", HASH, nullable=False, unique=True, comment="SHA-256 of a 256-bit secret"),
    text_column("label", 200),
    Column("created_at", Utc, nullable=False),
    Index(None, "account_id", "label"),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", SERIAL, primary_key=True),
    text_column("kind", 20),
    Column("reference", String(200), nullable=False, unique=True, comment="no double charges"),
    text_column("reason"),
    Column("created_at", Utc, nullable=False),
)
"""One transaction of credits; its postings sum to 0. Append-only: triggers refuse anything else."""

ledger_postings = Table(
    "ledger_postings",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("entry_id", ForeignKey(ledger_entries.c.id), nullable=False),
    Column("account_id", ForeignKey(accounts.c.id), nullable=True, comment="NULL: the farm's own"),
    Column("amount_micros", BigInteger, nullable=False, comment="millionths of a credit"),
    Index(None, "account_id", "entry_id"),
    Index(None, "entry_id"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False),
    text_column("subject", 200),
    text_column("text"),
    Column("created_at", Utc, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Utc, nullable=False, comment="next attempt"),
    Column("sent_at", Utc, nullable=True, comment="NULL until sent or given up"),
    text_column("error"),
    Index(None, "sent_at", "not_before"),
)

blobs = Table(
    "blobs",
    metadata,
    Column("account_id", ForeignKey(accounts.c.id), primary_key=True),
    Column("hash", HASH, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Utc, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("id", ID, primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False),
    text_column("name", 255),
    Column("updated_at", Utc, nullable=False),
    Column("snapshots", BigInteger, nullable=False, comment="how many were taken"),
    Column("revision", BigInteger, nullable=False, comment="how often its files have changed"),
    UniqueConstraint("account_id", "name"),
)


def _of_a_line() -> tuple[SchemaItem, ...]:
    """What a line of a manifest says, whether it still stands or was replaced."""
    return (
        Column("account_id", ID, nullable=False),
        Column("hash", HASH, nullable=False),
        Column("size", BigInteger, nullable=False),
        Column("mtime_ns", BigInteger, nullable=False),
        Column("since", BigInteger, nullable=False, comment="the first snapshot that has it"),
        ForeignKeyConstraint(["account_id", "hash"], [blobs.c.account_id, blobs.c.hash]),
        Index(None, "account_id", "hash"),
        Index(None, "project_id", "hash"),
    )


manifest_entries = Table(
    "manifest_entries",
    metadata,
    Column("project_id", ForeignKey(projects.c.id), primary_key=True),
    Column("path", Text, primary_key=True),
    *_of_a_line(),
    # Ordered by bytes, like SQLite's primary key: the files in a folder are found as a range of
    # paths.
    Index(
        "ix_manifest_entries_beneath",
        "project_id",
        "path",
        postgresql_ops={"path": "text_pattern_ops"},
        info={"only": "postgresql"},  # For whoever compares tables: a new migration.
    ).ddl_if(dialect="postgresql"),
)

replaced_entries = Table(
    "replaced_entries",
    metadata,
    Column("project_id", ForeignKey(projects.c.id), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("until", BigInteger, primary_key=True, comment="the first snapshot that lacks it"),
    *_of_a_line(),
)
"""Lines of manifests that are no more, and that submissions still have: see `farm.db.manifests`."""

submissions = Table(
    "submissions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("number", SERIAL, nullable=False, unique=True, comment="order of arrival"),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False),
    Column("project_id", ForeignKey(projects.c.id), nullable=False),
    Column("snapshot", BigInteger, nullable=False, comment="of the project, with its files"),
    text_column("project", 255),
    text_column("name", 300),
    text_column("output_folder"),
    Column("submitted_at", Utc, nullable=False),
    Index(None, "account_id", "number"),
    # Without the folder: older farms took longer ones than an index of PostgreSQL has room for.
    Index(None, "project_id"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("submission_id", ForeignKey(submissions.c.id), nullable=False),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False),
    Column("position", Integer, nullable=False, comment="within the submission"),
    text_column("client_id", 200),
    text_column("name", 200),
    text_column("app", 100),
    text_column("app_version", 100),
    text_column("operation", 100),
    text_column("template", 200),
    text_column("scene"),
    Column("parameters", JSON, nullable=False),
    Column("plugins", JSON, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("instances", Integer, nullable=False),  # 0: by the plan, see `farm.jobs.instances`
    text_column("machine_type", 200),
    text_column("credits_per_hour", 40),
    Column("priority", Integer, nullable=False),
    text_column("state", 20),
    text_column("message"),
    Column("reason", String(20), nullable=False, comment="what the message is about; or ''"),
    Column("noticed", Text, nullable=False, comment="what looks wrong about its frames"),
    Column("frames_total", Integer, nullable=False),
    Column("frames_done", Integer, nullable=False),
    Column("frames_failed", Integer, nullable=False),
    Column("frames_running", Integer, nullable=False),
    Column("frames_flagged", Integer, nullable=False),
    # Posted in the ledger; what is metered and not posted yet comes on top: `farm.db.metering`.
    Column("credits_micros", BigInteger, nullable=False),
    Column("budget_micros", BigInteger, nullable=False, comment="0: none"),
    Column("budget_action", String(10), nullable=False, comment="'' without a budget"),
    Column("budget_acted", Boolean, nullable=False, comment="whether its budget action was taken"),
    Column("suspended_for", String(10), nullable=False, comment="'' by its user"),
    Column("startup_seconds", Float, nullable=True, comment="NULL until measured"),
    Column("frame_seconds", Float, nullable=True, comment="NULL until measured"),
    Column("log_characters", BigInteger, nullable=False, comment="of what its runners have sent"),
    Column("test_frames", Integer, nullable=False, comment="must be done before the rest; 0: none"),
    Column("licence_failures", Integer, nullable=False, comment="in a row"),
    Column("not_before", Utc, nullable=True, comment="NULL unless it waits for a licence"),
    Column("submitted_at", Utc, nullable=False),
    Column("started_at", Utc, nullable=True, comment="NULL until its first claim"),
    Column("finished_at", Utc, nullable=True, comment="NULL until its state is final"),
    UniqueConstraint("submission_id", "position"),
    Index(None, "state"),
    Index(None, "account_id", "submitted_at"),
)

job_dependencies = Table(
    "job_dependencies",
    metadata,
    Column("job_id", ForeignKey(jobs.c.id), primary_key=True),
    Column("needs_job_id", ForeignKey(jobs.c.id), primary_key=True),
    Index(None, "needs_job_id"),
)

runners = Table(
    "runners",
    metadata,
    Column("id", ID, primary_key=True),
    Column("job_id", ForeignKey(jobs.c.id), nullable=False),
    Column("token_hash", HASH, nullable=False, unique=True),
    Column("expires_at", Utc, nullable=False),
    Column("reference", Text, nullable=True, comment="the engine's; NULL until launched"),
    Column("host", String(255), nullable=False, comment="'' until its first claim"),
    Column("yielding", Boolean, nullable=False, comment="ends after the frame it is at"),
    Column("created_at", Utc, nullable=False),
    Column("heard_at", Utc, nullable=True, comment="while preparing its job; NULL: not yet"),
    Column("ended_at", Utc, nullable=True, comment="NULL while it lives"),
    Index(None, "job_id", "ended_at"),
    Index(None, "ended_at"),
)

_UNLICENSED = text("outcome = 'no_licence'")
claims = Table(
    "claims",
    metadata,
    Column("id", ID, primary_key=True),
    Column("runner_id", ForeignKey(runners.c.id), nullable=False),
    Column("job_id", ForeignKey(jobs.c.id), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("heartbeat_at", Utc, nullable=False),
    Column("current_frame", Integer, nullable=True, comment="NULL between frames"),
    Column("frames", Text, nullable=False, comment="as text, for people: '1-24, 30'"),
    Column("frames_total", Integer, nullable=False),
    Column("frames_done", Integer, nullable=False),
    Column("recalled", Boolean, nullable=False, comment="asked to return frames not started"),
    Column("seconds", Float, nullable=False, comment="machine time charged through this claim"),
    Column("unposted_seconds", Float, nullable=False, comment="machine time not charged yet"),
    Column("outcome", String(20), nullable=True, comment="NULL while it is open; 'lost' too"),
    Column("failed", Boolean, nullable=False, comment="ended early, and not on request"),
    text_column("message"),
    Column("exit_code", Integer, nullable=True, comment="-N: ended by signal N; NULL: never ran"),
    Column("marker", Text, nullable=False, comment="line of output that failed it, or ''"),
    Column("ended_at", Utc, nullable=True, comment="NULL while it is open"),
    Index(None, "runner_id", "ended_at"),
    Index(None, "ended_at", "heartbeat_at"),
    Index(None, "job_id", "created_at"),
    # For an account's unlicensed time within a day: few of all claims have any.
    Index(
        "ix_claims_unlicensed",
        "ended_at",
        sqlite_where=_UNLICENSED,
        postgresql_where=_UNLICENSED,
    ),
)

machine_slots = Table(
    "machine_slots",
    metadata,
    Column("machine_type", String(100), primary_key=True),
    Column("slots", Integer, nullable=False, comment="overrides the settings"),
)

host_failures = Table(
    "host_failures",
    metadata,
    Column("job_id", ForeignKey(jobs.c.id), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("failures", Integer, nullable=False, comment="of its claims, in a row"),
)

host_programs = Table(
    "host_programs",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("app", String(100), primary_key=True),
    Column("version", String(100), primary_key=True),
    Column("plugins", JSON, nullable=False, comment="'<code>:<version>' of each"),
    Column("reported_at", Utc, nullable=False, comment="by a runner, or by the farm for its own"),
)

host_limits = Table(
    "host_limits",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("held", JSON, nullable=False, comment="limit: how it is enforced (Enforcement)"),
)

_GIVEN = text("claim_id IS NOT NULL")
frames = Table(
    "frames",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, nullable=False, comment="order in which frames were asked for"),
    text_column("state", 10),
    Column("failures", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("claim_id", ForeignKey(claims.c.id), nullable=True, comment="NULL while it waits"),
    Index(None, "job_id", "state", "position"),
    # Of what waits there is none, and that is most of a large job.
    Index(None, "claim_id", sqlite_where=_GIVEN, postgresql_where=_GIVEN),
    # Not on PostgreSQL, which would look the job up for each frame: a third of a submission.
    ForeignKeyConstraint(["job_id"], [jobs.c.id]).ddl_if(dialect="sqlite"),
)

frame_runs = Table(
    "frame_runs",
    metadata,
    Column("job_id", ForeignKey(jobs.c.id), primary_key=True),
    Column("position", Integer, primary_key=True, comment="of the frame that was asked for first"),
    Column("lowest", Integer, nullable=False, comment="number of a frame"),
    Column("highest", Integer, nullable=False, comment="number of a frame"),
    Column("step", Integer, nullable=False, comment="negative: the highest was asked for first"),
    Column("count", Integer, nullable=False, comment="how many frames these are"),
    Column("state", String(10), nullable=False, comment="waiting or failed"),
    Index(None, "job_id", "lowest"),
    Index(None, "job_id", "highest"),
)
"""Frames that nobody has claimed yet: they have no row in ``frames``."""

frame_flags = Table(
    "frame_flags",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("frame", Integer, primary_key=True, autoincrement=False),
    Column("code", String(40), primary_key=True),
    text_column("certainty", 10),
    text_column("message"),
    ForeignKeyConstraint(["job_id", "frame"], [frames.c.job_id, frames.c.number]),
)
"""What looks wrong about frames that are done."""

frame_pictures = Table(
    "frame_pictures",
    metadata,
    Column("job_id", ID, primary_key=True),
    Column("frame", Integer, primary_key=True, autoincrement=False),
    Column(
        "signature",
        LargeBinary,
        nullable=False,
        comment="16-bit brightness of its cells, by rows",
    ),
    Column("emptiness", String(11), nullable=False, comment="'' if it is not empty"),
    ForeignKeyConstraint(["job_id", "frame"], [frames.c.job_id, frames.c.number]),
)
"""What frames look like, of jobs that are not completed."""

log_chunks = Table(
    "log_chunks",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("job_id", ForeignKey(jobs.c.id), nullable=False),
    Column("claim_id", ForeignKey(claims.c.id), nullable=False),
    Column("start", Integer, nullable=False, comment="characters of the claim's log before it"),
    text_column("text"),
    UniqueConstraint("claim_id", "start"),
    Index(None, "job_id", "id"),
)

outputs = Table(
    "outputs",
    metadata,
    Column("job_id", ForeignKey(jobs.c.id), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("submission_id", ForeignKey(submissions.c.id), nullable=False),
    Column("account_id", ID, nullable=False),
    Column("frame", Integer, nullable=True, comment="NULL if it belongs to no single frame"),
    Column("hash", HASH, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Utc, nullable=False),
    ForeignKeyConstraint(["account_id", "hash"], [blobs.c.account_id, blobs.c.hash]),
    # By bytes on both databases: images of a sequence are found by what their names begin with.
    Index(None, "submission_id", "path", postgresql_ops={"path": "text_pattern_ops"}),
    Index(None, "job_id", "hash"),
)

earlier_results = Table(
    "earlier_results",
    metadata,
    Column("job_id", ForeignKey(jobs.c.id), primary_key=True),
    Column(
        "needs_job_id", ForeignKey(jobs.c.id), primary_key=True, comment="whose results it uses"
    ),
    Column("begins", Text, primary_key=True, comment="prefix of their paths"),
    Column("until", Utc, nullable=False, comment="time of the newest of them"),
    Index(None, "needs_job_id"),
)
"""Results of jobs of earlier submissions that a job works on: see `farm.db.earlier_results`."""

replaced_outputs = Table(
    "replaced_outputs",
    metadata,
    Column("job_id", ForeignKey(jobs.c.id), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("created_at", Utc, primary_key=True),
    Column("replaced_at", Utc, nullable=False),
    Column("account_id", ID, nullable=False),
    Column("hash", HASH, nullable=False),
    Column("size", BigInteger, nullable=False),
    ForeignKeyConstraint(["account_id", "hash"], [blobs.c.account_id, blobs.c.hash]),
)
"""Results that their job has written anew, of jobs on whose results others work."""

_OF_JOB, _OF_OUTPUT = text("output_path IS NULL"), text("output_path IS NOT NULL")
changes = Table(
    "changes",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("account_id", ForeignKey(accounts.c.id), nullable=False),
    Column("job_id", ForeignKey(jobs.c.id), nullable=False),
    Column("output_path", Text, nullable=True, comment="NULL: the job itself changed"),
    Index(None, "account_id", "id"),
    # Of each job and each of its results the newest line: `farm.db.feed` drops the one before.
    Index(None, "job_id", unique=True, sqlite_where=_OF_JOB, postgresql_where=_OF_JOB),
    Index(
        None,
        "job_id",
        "output_path",
        unique=True,
        sqlite_where=_OF_OUTPUT,
        postgresql_where=_OF_OUTPUT,
    ),
    sqlite_autoincrement=True,  # an id must never come back: cursors point at it
)
