"""plans that can be changed, roles, and a switch for emails"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def _add(name: str, kind: sa.types.TypeEngine[Any], fill: str, comment: str) -> None:
    """Add a NOT NULL column to accounts; rows that are there already get ``fill``."""
    op.add_column(
        'accounts',
        sa.Column(name, kind, nullable=False, server_default=sa.text(fill), comment=comment),
    )


def upgrade() -> None:
    plans = op.create_table('plans',
    sa.Column('name', sa.String(length=50), nullable=False),
    sa.Column('job_throughput_limit', sa.Integer(), nullable=False, comment='instances of one job'),
    sa.Column('max_throughput', sa.Integer(), nullable=False, comment='instances of a user'),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_plans'))
    )
    # Until now an account with any other plan was treated as one with this.
    op.execute("UPDATE accounts SET plan = 'Standard'")
    op.bulk_insert(
        plans, [{'name': 'Standard', 'job_throughput_limit': 30, 'max_throughput': 30}]
    )
    _add('role', sa.String(length=10), "'artist'", 'artist or admin')
    _add('email_notices', sa.Boolean(), 'true', 'whether it wants any')
    if op.get_bind().dialect.name == 'postgresql':
        op.alter_column('accounts', 'plan', comment='name of a row of plans')


def downgrade() -> None:
    op.drop_column('accounts', 'email_notices')
    op.drop_column('accounts', 'role')
    op.drop_table('plans')
