"""fair order, test frames, licences, bad hosts, and what is known of each task"""

from typing import Any

import farm.db.columns
import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def _add(
    table: str, name: str, kind: sa.types.TypeEngine[Any], fill: str, comment: str | None = None
) -> None:
    """Add a NOT NULL column; rows that are there already get ``fill``."""
    default = sa.text(fill)
    op.add_column(
        table, sa.Column(name, kind, nullable=False, server_default=default, comment=comment)
    )


def upgrade() -> None:
    op.add_column('accounts', sa.Column('served_at', farm.db.columns.Utc(), nullable=True, comment='last start of a runner; NULL until the first'))
    _add('jobs', 'test_frames', sa.Integer(), '0', 'must be done before the rest; 0: none')
    _add('jobs', 'licence_failures', sa.Integer(), '0', 'in a row')
    op.add_column('jobs', sa.Column('not_before', farm.db.columns.Utc(), nullable=True, comment='NULL unless it waits for a licence'))
    _add('runners', 'host', sa.String(length=255), "''", "'' until its first claim")
    _add('runners', 'yielding', sa.Boolean(), 'false', 'ends after the frame it is at')
    _add('claims', 'frames', sa.Text(), "''", "as text, for people: '1-24, 30'")
    _add('claims', 'frames_total', sa.Integer(), '0')
    _add('claims', 'frames_done', sa.Integer(), '0')
    _add('claims', 'recalled', sa.Boolean(), 'false', 'its rest is wanted back')
    _add('claims', 'marker', sa.Text(), "''", "the line of output that condemned it, or ''")
    op.create_index(op.f('ix_claims_job_id_created_at'), 'claims', ['job_id', 'created_at'])
    op.create_table('host_failures',
    sa.Column('job_id', sa.String(length=32), nullable=False),
    sa.Column('host', sa.String(length=255), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False, comment='of its claims, in a row'),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_host_failures_job_id')),
    sa.PrimaryKeyConstraint('job_id', 'host', name=op.f('pk_host_failures'))
    )


def downgrade() -> None:
    op.drop_table('host_failures')
    op.drop_index(op.f('ix_claims_job_id_created_at'), 'claims')
    for name in ('marker', 'recalled', 'frames_done', 'frames_total', 'frames'):
        op.drop_column('claims', name)
    for name in ('yielding', 'host'):
        op.drop_column('runners', name)
    for name in ('not_before', 'licence_failures', 'test_frames'):
        op.drop_column('jobs', name)
    op.drop_column('accounts', 'served_at')
