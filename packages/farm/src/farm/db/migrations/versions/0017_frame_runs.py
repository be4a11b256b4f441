"""frames that nobody has touched are ranges

Those of jobs that are there already keep their rows: they are as good.
"""

import sqlalchemy as sa
from alembic import op

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('frame_runs',
    sa.Column('job_id', sa.String(length=32), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False, comment='of the frame that was asked for first'),
    sa.Column('lowest', sa.Integer(), nullable=False, comment='number of a frame'),
    sa.Column('highest', sa.Integer(), nullable=False, comment='number of a frame'),
    sa.Column('step', sa.Integer(), nullable=False, comment='negative: the highest was asked for first'),
    sa.Column('count', sa.Integer(), nullable=False, comment='how many frames these are'),
    sa.Column('state', sa.String(length=10), nullable=False, comment='waiting or failed'),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_frame_runs_job_id')),
    sa.PrimaryKeyConstraint('job_id', 'position', name=op.f('pk_frame_runs'))
    )
    op.create_index(op.f('ix_frame_runs_job_id_lowest'), 'frame_runs', ['job_id', 'lowest'])
    op.create_index(op.f('ix_frame_runs_job_id_highest'), 'frame_runs', ['job_id', 'highest'])


def downgrade() -> None:
    op.drop_table('frame_runs')
