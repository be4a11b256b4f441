"""reasons beside sentences"""

import sqlalchemy as sa
from alembic import op

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None

# What versions before this one wrote, for the last time.
_BEGINNINGS = (
    ('Waits: %', 'runner'),
    ('Waits for another machine: %', 'other_machine'),
    ('Waits for a licence. %', 'licence'),
    ('Waits for another licence. %', 'other_licence'),
    ('Trying again: %', 'trying_again'),
    ("Waits for '%", 'jobs'),
    ("Blocked: '%", 'jobs'),
    ('Its budget of %', 'budget'),
    ('Suspended: its budget of %', 'budget'),
    ('Stopped: its budget of %', 'budget'),
    ('Suspended by %', 'user'),
    ('Stopped by %', 'user'),
)


def upgrade() -> None:
    op.add_column('jobs', sa.Column(
        'reason', sa.String(20), nullable=False, server_default='',
        comment="what the sentence is about; or ''"))
    op.add_column('claims', sa.Column(
        'failed', sa.Boolean(), nullable=False, server_default=sa.false(),
        comment='without all its frames, and unasked'))
    jobs = sa.table('jobs', *map(sa.column, ('state', 'sentence', 'suspended_for', 'reason')))
    says = jobs.c.sentence
    op.execute(sa.update(jobs).where(says != '').values(reason=sa.case(
        # First: a job that has failed says what its renderer said, in any words.
        (sa.and_(jobs.c.state == 'failed', says.like('Failed: test %')), 'test_frames'),
        (jobs.c.state == 'failed', 'frames'),
        *((says.like(beginning), reason) for beginning, reason in _BEGINNINGS),
        (jobs.c.state == 'suspended', jobs.c.suspended_for),
        else_='')))
    claims = sa.table('claims', *map(sa.column, ('outcome', 'sentence')), sa.column('failed'))
    op.execute(sa.update(claims).where(
        claims.c.outcome.in_(['failed', 'lost', 'completed', 'no_licence']),
        claims.c.sentence != '').values(failed=sa.true()))


def downgrade() -> None:
    op.drop_column('claims', 'failed')
    op.drop_column('jobs', 'reason')
