"""what runners may see and send"""

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None

COMMENT = 'of what its runners have sent'


def upgrade() -> None:
    op.add_column(
        'jobs',
        sa.Column('log_characters', sa.BigInteger(), nullable=False, server_default='0', comment=COMMENT),
    )
    op.create_index(op.f('ix_manifest_entries_project_id_hash'), 'manifest_entries', ['project_id', 'hash'])
    op.create_index(op.f('ix_outputs_job_id_hash'), 'outputs', ['job_id', 'hash'])


def downgrade() -> None:
    op.drop_index(op.f('ix_outputs_job_id_hash'), table_name='outputs')
    op.drop_index(op.f('ix_manifest_entries_project_id_hash'), table_name='manifest_entries')
    op.drop_column('jobs', 'log_characters')
