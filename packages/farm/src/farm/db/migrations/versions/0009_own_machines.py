"""the machine types that users want by default"""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None

COMMENT = "id of a machine type; '': the farm's default"


def upgrade() -> None:
    for name in ('machine_cpu', 'machine_gpu'):
        op.add_column(
            'accounts',
            sa.Column(name, sa.String(length=100), nullable=False, server_default='', comment=COMMENT),
        )


def downgrade() -> None:
    op.drop_column('accounts', 'machine_gpu')
    op.drop_column('accounts', 'machine_cpu')
