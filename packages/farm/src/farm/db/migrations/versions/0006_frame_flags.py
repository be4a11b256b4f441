"""what looks wrong about frames"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('frame_flags',
    sa.Column('job_id', sa.String(length=32), nullable=False),
    sa.Column('frame', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('certainty', sa.String(length=10), nullable=False),
    sa.Column('sentence', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['job_id', 'frame'], ['frames.job_id', 'frames.number'], name=op.f('fk_frame_flags_job_id_frame')),
    sa.PrimaryKeyConstraint('job_id', 'frame', 'code', name=op.f('pk_frame_flags'))
    )


def downgrade() -> None:
    op.drop_table('frame_flags')
