"""what an account stores, and how much it may"""

import sqlalchemy as sa
from alembic import op

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, name, comment in (
        ('accounts', 'stored_bytes', 'derived from blobs'),
        ('plans', 'max_stored', 'bytes of a user; 0: no number'),
        ('plans', 'max_in_flight', 'bytes being sent; 0: no number'),
    ):
        op.add_column(table, sa.Column(
            name, sa.BigInteger(), nullable=False, server_default=sa.text('0'), comment=comment))
    accounts = sa.table('accounts', sa.column('id'), sa.column('stored_bytes'))
    blobs = sa.table('blobs', sa.column('account_id'), sa.column('size'))
    stored = (
        sa.select(sa.func.coalesce(sa.func.sum(blobs.c.size), 0))
        .where(blobs.c.account_id == accounts.c.id)
        .scalar_subquery()
    )
    op.execute(sa.update(accounts).values(stored_bytes=stored))


def downgrade() -> None:
    op.drop_column('plans', 'max_in_flight')
    op.drop_column('plans', 'max_stored')
    op.drop_column('accounts', 'stored_bytes')
