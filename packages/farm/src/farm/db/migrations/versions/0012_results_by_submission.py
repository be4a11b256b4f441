"""whose a file of a submission is"""

from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f('ix_outputs_submission_id_path'), 'outputs', ['submission_id', 'path'])


def downgrade() -> None:
    op.drop_index(op.f('ix_outputs_submission_id_path'), table_name='outputs')
