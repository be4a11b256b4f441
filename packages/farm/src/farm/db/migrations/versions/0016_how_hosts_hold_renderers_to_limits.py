"""how hosts hold renderers to limits"""

import sqlalchemy as sa
from alembic import op

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None

COMMENT = 'limit: who holds renderers to it (Held)'


def upgrade() -> None:
    op.create_table(
        'host_limits',
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('held', sa.JSON(), nullable=False, comment=COMMENT),
        sa.PrimaryKeyConstraint('host', name=op.f('pk_host_limits')),
    )


def downgrade() -> None:
    op.drop_table('host_limits')
