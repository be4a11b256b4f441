"""large jobs are stored faster"""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index(op.f('ix_frames_claim_id'), table_name='frames')
    given = sa.text('claim_id IS NOT NULL')
    op.create_index(op.f('ix_frames_claim_id'), 'frames', ['claim_id'], sqlite_where=given, postgresql_where=given)
    if op.get_context().dialect.name == 'postgresql':
        op.drop_constraint(op.f('fk_frames_job_id'), 'frames', type_='foreignkey')


def downgrade() -> None:
    if op.get_context().dialect.name == 'postgresql':
        op.create_foreign_key(op.f('fk_frames_job_id'), 'frames', 'jobs', ['job_id'], ['id'])
    op.drop_index(op.f('ix_frames_claim_id'), table_name='frames')
    op.create_index(op.f('ix_frames_claim_id'), 'frames', ['claim_id'])
