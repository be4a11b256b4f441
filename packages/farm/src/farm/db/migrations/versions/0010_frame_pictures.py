"""what frames look like, and what a job says about them"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('frame_pictures',
    sa.Column('job_id', sa.String(length=32), nullable=False),
    sa.Column('frame', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('signature', sa.LargeBinary(), nullable=False,
              comment='16-bit lights of its cells, row by row'),
    sa.Column('emptiness', sa.String(length=11), nullable=False, comment="'' for a picture"),
    sa.ForeignKeyConstraint(['job_id', 'frame'], ['frames.job_id', 'frames.number'], name=op.f('fk_frame_pictures_job_id_frame')),
    sa.PrimaryKeyConstraint('job_id', 'frame', name=op.f('pk_frame_pictures'))
    )
    op.add_column('jobs', sa.Column('noticed', sa.Text(), nullable=False, server_default='',
                                    comment='what looks wrong about its frames'))
    op.add_column('jobs', sa.Column('frames_flagged', sa.Integer(), nullable=False, server_default='0'))


def downgrade() -> None:
    op.drop_column('jobs', 'frames_flagged')
    op.drop_column('jobs', 'noticed')
    op.drop_table('frame_pictures')
