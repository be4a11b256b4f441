"""comments of columns"""

from alembic import op

revision = '0026'
down_revision = '0025'
branch_labels = None
depends_on = None

COMMENTS = {
    ('farm_info', 'farm_id'): (
        'tells Envoy that its cursor still counts',
        "if it changes, Envoy's cursors are void"),
    ('plans', 'max_stored'): (
        'bytes of a user; 0: no number',
        'bytes of a user; 0: not fixed'),
    ('plans', 'max_in_flight'): (
        'bytes being sent; 0: no number',
        'bytes being sent; 0: not fixed'),
    ('accounts', 'password_hash'): (
        'argon2id; NULL: cannot log in by one',
        'argon2id; NULL: no password login'),
    ('accounts', 'email_notices'): (
        'whether it wants any',
        'whether to send notices by email'),
    ('ledger_entries', 'reference'): (
        'charges happen once',
        'no double charges'),
    ('submissions', 'snapshot'): (
        'of the project: its files',
        'of the project, with its files'),
    ('jobs', 'budget_acted'): (
        'a budget acts once',
        'whether its budget action was taken'),
    ('runners', 'heard_at'): (
        'while it got ready; NULL: not yet',
        'while preparing its job; NULL: not yet'),
    ('claims', 'recalled'): (
        'its rest is wanted back',
        'asked to return frames not started'),
    ('claims', 'failed'): (
        'without all its frames, and unasked',
        'ended early, and not on request'),
    ('claims', 'marker'): (
        "the line of output that condemned it, or ''",
        "line of output that failed it, or ''"),
    ('machine_slots', 'slots'): (
        'instead of those of the settings',
        'overrides the settings'),
    ('host_limits', 'held'): (
        'limit: who holds renderers to it (Held)',
        'limit: how it is enforced (Enforcement)'),
    ('frame_pictures', 'signature'): (
        '16-bit lights of its cells, row by row',
        '16-bit brightness of its cells, by rows'),
    ('frame_pictures', 'emptiness'): (
        "'' for a picture",
        "'' if it is not empty"),
    ('outputs', 'frame'): (
        'NULL when not of one frame',
        'NULL if it belongs to no single frame'),
    ('earlier_results', 'needs_job_id'): (
        'its results',
        'whose results it uses'),
    ('earlier_results', 'begins'): (
        'their paths begin with it',
        'prefix of their paths'),
    ('earlier_results', 'until'): (
        'when the newest of them was there',
        'time of the newest of them'),
}
"""Table and column -> old and new comment."""


def upgrade() -> None:
    for (table, column), (old, new) in COMMENTS.items():
        _comment(table, column, old, new)


def downgrade() -> None:
    for (table, column), (old, new) in COMMENTS.items():
        _comment(table, column, new, old)


def _comment(table: str, column: str, existing: str, comment: str) -> None:
    # SQLite does not store comments.
    if op.get_bind().dialect.name == 'postgresql':
        op.alter_column(table, column, comment=comment, existing_comment=existing)
