"""revisions of projects"""

import sqlalchemy as sa
from alembic import op

revision = '0027'
down_revision = '0026'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('projects', sa.Column(
        'revision', sa.BigInteger(), nullable=False, server_default=sa.text('0'),
        comment='how often its files have changed'))


def downgrade() -> None:
    op.drop_column('projects', 'revision')
