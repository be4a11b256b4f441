"""programs that render nodes have"""

import farm.db.columns
import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('host_programs',
    sa.Column('host', sa.String(length=255), nullable=False),
    sa.Column('app', sa.String(length=100), nullable=False),
    sa.Column('version', sa.String(length=100), nullable=False),
    sa.Column('plugins', sa.JSON(), nullable=False, comment="'<code>:<version>' of each"),
    sa.Column('reported_at', farm.db.columns.Utc(), nullable=False,
              comment='by a runner, or by the farm for its own'),
    sa.PrimaryKeyConstraint('host', 'app', 'version', name=op.f('pk_host_programs'))
    )


def downgrade() -> None:
    op.drop_table('host_programs')
