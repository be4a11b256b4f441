"""the feed holds one line for each job and each result: the newest

Older ones are dropped, as whoever writes a newer one does from now on.
"""

import sqlalchemy as sa
from alembic import op

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None

_OF_JOB = sa.text('output_path IS NULL')
_OF_OUTPUT = sa.text('output_path IS NOT NULL')


def upgrade() -> None:
    # Sorted once, however many lines a job has: a look for a newer line of each would take the
    # square of that.
    lines = sa.table('changes', *map(sa.column, ('id', 'job_id', 'output_path')))
    age = sa.func.row_number().over(
        partition_by=(lines.c.job_id, lines.c.output_path), order_by=lines.c.id.desc())
    aged = sa.select(lines.c.id, age.label('age')).subquery()
    op.execute(sa.delete(lines).where(lines.c.id.in_(sa.select(aged.c.id).where(aged.c.age > 1))))
    for name, columns, which in (
        ('ix_changes_job_id', ['job_id'], _OF_JOB),
        ('ix_changes_job_id_output_path', ['job_id', 'output_path'], _OF_OUTPUT),
    ):
        op.create_index(
            op.f(name), 'changes', columns, unique=True, sqlite_where=which, postgresql_where=which)


def downgrade() -> None:
    op.drop_index('ix_changes_job_id_output_path', table_name='changes')
    op.drop_index('ix_changes_job_id', table_name='changes')
